"""Undo: restore changed fields, delete created resources, restore `.env`."""

from __future__ import annotations

from collections.abc import Callable

from kit.setup.apply import Say, resources
from kit.setup.journal import Journal
from kit.setup.resource import Resource, SetupContext


async def undo(setup: SetupContext, say: Say) -> list[dict[str, str]]:
    """Restore and delete in reverse order. Fields that were changed since by others are left."""
    journal, steps = setup.journal, []
    known = {resource.key: resource for resource in resources(setup)}

    def report(action: str, resource: str, detail: str) -> None:
        steps.append({"resource": resource, "action": action, "detail": detail})
        say(f"{action} {resource} {detail}".rstrip())

    for key in known:  # later resources need the ids of earlier ones
        await _reach(known[key])
    for key in [each for each in reversed(known) if each in journal.entries]:
        await _undo_one(known[key], journal, report)
        journal.drop(key)
    for key in journal.entries:
        report("left", key, "this project has it no more; run undo in the project that made it")
    for name, entry in reversed(journal.env.items()):
        line = setup.env_file.line(name)
        if line == f"{name}={entry['after']}":
            setup.env_file.put(name, entry["before"])
            report("restored", name, f"in {setup.env_file.path.name}")
        elif line != entry["before"]:
            report("left", name, "it has been changed since")
    journal.env = {}
    journal.save()
    return steps


async def _reach(resource: Resource) -> None:
    """Set the id of an existing resource, without asking."""
    journal, setup = resource.setup.journal, resource.setup
    entry = journal.entry(resource.key)
    if not entry:
        known = (setup.value(resource.variable) if resource.variable else "") or journal.choices.get(
            resource.flag or ""
        )
        if known:
            setup.ids[resource.key] = known
        return
    ids = [*entry.get("created", []), *([entry["id"]] if entry.get("id") else [])]
    if entry.get("pending") and (record := await resource.read()):
        if resource.resumed_id:
            journal.record_created(resource.key, resource.resumed_id)
        ids.append(resource.id_of(record))
    if ids:
        setup.ids[resource.key] = ids[-1]


async def _undo_one(resource: Resource, journal: Journal, report: Callable[[str, str, str], None]) -> None:
    entry = journal.entry(resource.key)
    for id in reversed(entry.get("created", [])):
        await resource.delete(id)
        journal.record_deleted(resource.key, id)
        report("deleted", resource.key, id)
    if not entry.get("before"):
        return
    id, record = entry["id"], await resource.fetch(entry["id"])
    if record is None:
        report("left", resource.key, f"{id} is not there any more")
        return
    back = {}
    for name, before in entry["before"].items():
        if resource.same(name, record.get(name), entry["after"][name]):
            back[name] = before
        elif not resource.same(name, record.get(name), before):
            report("left", resource.key, f"{name} has been changed since")
    if back:
        await resource.restore(id, back)
        report("restored", resource.key, ", ".join(back))
