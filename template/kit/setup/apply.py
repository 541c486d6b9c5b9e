"""Plan and apply: compare every resource with its wanted state; create and change them in order.

Apply writes their ids to `.env`, and can be resumed after any step.
"""

from __future__ import annotations

from collections.abc import Callable

from kit import conventions
from kit.setup.resource import Resource, SetupContext, Step, variables

Say = Callable[[str], None]


def resources(setup: SetupContext) -> list[Resource]:
    return [resource for kind in conventions.resources() for resource in kind.all(setup)]


async def plan(setup: SetupContext) -> list[Step]:
    """The steps that `apply` would take now. Changes nothing."""
    return [await resource.compare() for resource in resources(setup)]


async def apply(setup: SetupContext, say: Say) -> list[Step]:
    """Apply step by step. Each step compares again, because ids are known only after earlier steps."""
    done = []
    for resource in resources(setup):
        step = await resource.compare()
        setup.journal.choices.update({**setup.choices.remembered, **setup.choices.flags})
        id = await _do(setup, step)
        await resource.wait_until_ready(id)
        if step.action != "keep":
            say(f"{DONE[step.action]} {resource.key} {id}")
            resource.publish(await resource.fetch(id))
        _write_env(setup, resource, say)
        done.append(step)
    return done


DONE = {"create": "created", "change": "changed"}


async def _do(setup: SetupContext, step: Step) -> str:
    journal, resource = setup.journal, step.resource
    key, entry = resource.key, journal.entry(resource.key)
    if step.record is None:
        pending = entry.get("pending", {})
        journal.update(key, pending={"name": setup.name, **({} if "statusUrl" in pending else pending)})
        return await resource.create_and_record(step.wanted)
    id = resource.id_of(step.record)
    if resource.resumed_id == id:  # created by an earlier run that ended before it was recorded
        journal.record_created(key, id)
    elif "pending" in entry and entry["pending"].get("replaces") != id:
        journal.discard_pending(key)
    if step.action == "change":
        ours = id in journal.entry(key).get("created", [])
        fields = {each.field: each.after for each in step.changes}
        if not ours:
            if entry.get("id", id) != id and await resource.fetch(entry["id"]) is None:
                journal.drop(key)  # the record that was changed has been deleted
            journal.record_change(key, id, {each.field: each.before for each in step.changes}, fields)
        id = await resource.change(id, fields)
    return id


def _write_env(setup: SetupContext, resource: Resource, say: Say) -> None:
    """Write a variable that the project reads. The previous line is kept for undo."""
    name, value = resource.variable, resource.value(setup.records[resource.key])
    if not name or setup.value(name) == value or name not in variables():
        return
    journal, line = setup.journal, setup.env_file.line(name)
    if line == f"{name}={value}":  # the environment overrides it
        return
    journal.env[name] = {"before": journal.env[name]["before"] if name in journal.env else line, "after": value}
    journal.save()
    setup.env_file.put(name, f"{name}={value}")
    say(f"wrote   {name} to {setup.env_file.path.name}")
