"""The machinery: read what is there, compare it with what is wanted, make it so, prove it, take it back.

It names no capability. What there is to do stands in RESOURCES (`chosen.py`), in the order in which it is done.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import httpx2
from twilio.request_validator import RequestValidator

from app import config
from app.registry import ProjectSettings
from kit import conventions
from kit.setup.api import Api, ApiError, OperationFailed, Record, SetupError, SetupSettings
from kit.setup.env_file import EnvFile
from kit.setup.journal import Journal

LATER = "(known when it is made)"  # an id in a plan that does not exist yet
LOOKS = 5  # at a name that a broken-off run may have taken, before it is taken again

Action = Literal["create", "change", "keep"]
Say = Callable[[str], None]
Ask = Callable[[str, Sequence[tuple[str, str]]], Awaitable[str]]


@dataclass
class Choices:
    """What people decide: `given` by flag, `kept` of an earlier run, or asked; `ask` is None where nobody can be."""

    given: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    ask: Ask | None = None

    async def take(self, what: str, options: Sequence[tuple[str, str]], default: str | None = None) -> str:
        """`options` are (label, value). Raises SetupError, with the flag, when there is no telling."""
        known = self.given.get(what) or self.kept.get(what)
        if known and known in [known_value for _, known_value in options]:
            return known
        if not options:
            raise SetupError(f"The account has no {what}.")
        if len(options) == 1 and default is None:
            value = options[0][1]
        elif self.ask:
            value = await self.ask(f"Which {what}?", options)
        elif default is not None:
            value = default
        else:
            labels = ", ".join(label for label, _ in options)
            raise SetupError(f"Which {what}? Say so with --{what}: {labels}.", 2)
        self.kept[what] = value
        return value


@dataclass
class Setup:
    """What a resource works with. `ids` are known by kind; `web` carries requests to PUBLIC_URL."""

    settings: SetupSettings
    api: Api
    journal: Journal
    env_file: EnvFile
    choices: Choices
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    ids: dict[str, str] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    web: httpx2.AsyncBaseTransport | None = None
    folder: Path = Path("agent")  # what belongs to the user

    @property
    def name(self) -> str:
        """What our own things are called in the account."""
        return (self.choices.given.get("name") or self.choices.kept.get("name") or config.PROJECT)[:32]

    def value(self, variable: str) -> str:
        """Of an environment variable: what is set wins over `.env`, as everywhere."""
        return (self.environ.get(variable) or self.env_file.value(variable)).strip()


@dataclass(frozen=True)
class Change:
    field: str
    before: Any
    after: Any


@dataclass
class Step:
    """What is to be done with a resource."""

    resource: Resource
    action: Action
    record: Record | None
    wanted: Record
    changes: list[Change]

    def json(self) -> dict[str, Any]:
        return {
            "resource": self.resource.key,
            "action": self.action,
            "id": self.resource.identify(self.record) if self.record else None,
            "changes": [
                {"field": each.field, "before": shown(each.before), "after": shown(each.after)} for each in self.changes
            ],
            "one_way": list(self.resource.one_way) if self.action != "keep" else [],
            "notes": list(self.resource.notes(self)),
        }


@dataclass(frozen=True)
class Check:
    """Something that was proved, or was not; `detail` says what is wrong and what to do."""

    resource: str
    check: str
    ok: bool
    detail: str = ""


class Resource:
    """One thing in the account. Its id is in `.env` (`variable`), and people may name another one (`flag`)."""

    kind: ClassVar[str] = ""
    variable: ClassVar[str | None] = None
    flag: ClassVar[str | None] = None
    order: ClassVar[int] = 50  # resources are made in this order and undone in the other
    one_way: Sequence[str] = ()
    begun: str | None = None  # the id of what a run that broke off has begun, once that is found

    def __init__(self, setup: Setup, key: str = "") -> None:
        self.setup = setup
        self.api = setup.api
        self.key = key or self.kind

    @classmethod
    def all(cls, setup: Setup) -> Sequence[Resource]:
        """One, unless a project has several of them."""
        return [cls(setup)]

    # --- what a resource says --------------------------------------------------------------------------------------

    def identify(self, record: Record) -> str:
        return str(record.get("id") or record.get("sid"))

    def value(self, record: Record) -> str:
        """What `.env` says of it."""
        return self.identify(record)

    async def fetch(self, id: str) -> Record | None:
        """By its id."""
        raise NotImplementedError

    async def search(self) -> Record | None:
        """By its name, or whatever else tells it apart."""
        return None

    async def wanted(self, existing: Record | None) -> Record:
        """How its fields should be. `existing` keeps what others have put into it."""
        raise NotImplementedError

    async def create(self, wanted: Record) -> str:
        """Returns the id."""
        raise SetupError(f"There is no {self.key}, and setup does not make one.")

    async def change(self, id: str, fields: Record) -> str:
        """Returns the id, which is another one for what Twilio does not let change."""
        raise NotImplementedError

    async def settle(self, id: str) -> None:
        """Wait until it can be used."""

    async def restore(self, id: str, fields: Record) -> None:
        await self.change(id, fields)

    async def delete(self, id: str) -> None:
        raise NotImplementedError

    def checks(self, record: Record) -> AsyncIterator[Check]:
        """Proofs beyond "it is there, and as wanted"."""
        return nothing()

    def notes(self, step: Step) -> Sequence[str]:
        return ()

    def same(self, name: str, before: Any, after: Any) -> bool:
        """Whether two values of a field mean the same."""
        return before == after or (not before and not after)

    # --- what the machinery does with it ---------------------------------------------------------------------------

    async def read(self) -> Record | None:
        """What there is: what a run that broke off has begun, what `.env` names, what we made, or what has our name."""
        entry = self.setup.journal.entry(self.key)
        named = self.setup.choices.given.get(self.flag or "")
        if (begun := entry.get("begun")) and (record := await self._read_begun(begun)):
            id = self.identify(record)
            if id != begun.get("replaces") and named in (None, id):
                self.begun = id
                return record
        if named:
            if record := await self.fetch(named):
                return record
            raise SetupError(f"--{self.flag}: there is no {self.kind} {named} in this account.", 2)
        kept = self.setup.choices.kept.get(self.flag or "", "")
        for id in [self.setup.value(self.variable) if self.variable else "", *reversed(entry.get("made", [])), kept]:
            if id and (record := await self.fetch(id)):
                return record
        return await self.search()

    async def _read_begun(self, begun: Record) -> Record | None:
        """What a run has asked for that broke off before it had the answer: it may take a moment to be there."""
        if begun.get("statusUrl"):
            try:
                return await self.fetch(self.made_by(await self.api.finished(begun)))
            except OperationFailed:
                self.setup.journal.forget_begun(self.key)
                return None
        for look in range(LOOKS):
            if look:
                await self.api.pause(1)
            if record := await self.search():
                return record
        return None

    def made_by(self, operation: Record) -> str:
        """The id in the end of an operation."""
        raise NotImplementedError

    async def made(self, accepted: Record) -> str:
        """The id of what Twilio has accepted: at once, or after polling, which the next run goes on with."""
        if not accepted.get("statusUrl"):
            return self.identify(accepted)
        self.setup.journal.note(self.key, begun={"statusUrl": accepted["statusUrl"]})
        return self.made_by(await self.api.finished(accepted))

    async def look(self) -> Step:
        record = await self.read()
        self.know(record)
        wanted = await self.wanted(record)
        changes = [
            Change(name, (record or {}).get(name), value)
            for name, value in wanted.items()
            if record is None or not self.same(name, record.get(name), value)
        ]
        return Step(self, "create" if record is None else "change" if changes else "keep", record, wanted, changes)

    def know(self, record: Record | None) -> None:
        """Tell those that come after it."""
        if self.kind:
            self.setup.ids[self.key] = self.identify(record) if record else LATER
        if record:
            self.setup.records[self.key] = record


async def nothing() -> AsyncIterator[Check]:
    checks: list[Check] = []
    for check in checks:
        yield check


def resources(setup: Setup) -> list[Resource]:
    return [resource for kind in conventions.resources() for resource in kind.all(setup)]


async def plan(setup: Setup) -> list[Step]:
    """What `apply` would do now. Only reads."""
    return [await resource.look() for resource in resources(setup)]


# --- apply -----------------------------------------------------------------------------------------------------------


async def apply(setup: Setup, say: Say) -> list[Step]:
    """Do it, step by step. Each step looks again: an id is known once the step before has made it."""
    done = []
    for resource in resources(setup):
        step = await resource.look()
        setup.journal.choices.update({**setup.choices.kept, **setup.choices.given})
        id = await _do(setup, step)
        await resource.settle(id)
        if step.action != "keep":
            say(f"{DONE[step.action]} {resource.key} {id}")
            resource.know(await resource.fetch(id))
        _write_env(setup, resource, say)
        done.append(step)
    return done


DONE = {"create": "created", "change": "changed"}


async def _do(setup: Setup, step: Step) -> str:
    journal, resource = setup.journal, step.resource
    key, entry = resource.key, journal.entry(resource.key)
    if step.record is None:
        begun = entry.get("begun", {})
        journal.note(key, begun={"name": setup.name, **({} if "statusUrl" in begun else begun)})
        try:
            id = await resource.create(step.wanted)
        except ApiError as refused:
            if refused.status < 500:
                journal.forget_begun(key)
            raise
        journal.made(key, id)
        return id
    id = resource.identify(step.record)
    if resource.begun == id:  # an earlier run did not live to say that it is ours
        journal.made(key, id)
    elif "begun" in entry and entry["begun"].get("replaces") != id:
        journal.forget_begun(key)
    if step.action == "change":
        ours = id in journal.entry(key).get("made", [])
        fields = {each.field: each.after for each in step.changes}
        if not ours:
            if entry.get("id", id) != id and await resource.fetch(entry["id"]) is None:
                journal.drop(key)  # what had been changed is not there any more
            journal.changes(key, id, {each.field: each.before for each in step.changes}, fields)
        id = await resource.change(id, fields)
    return id


def _write_env(setup: Setup, resource: Resource, say: Say) -> None:
    """Only what the project reads. The line that was there is kept for undo."""
    name, value = resource.variable, resource.value(setup.records[resource.key])
    if not name or setup.value(name) == value or name not in variables():
        return
    journal, line = setup.journal, setup.env_file.line(name)
    if line == f"{name}={value}":  # the environment says something else, and wins
        return
    journal.env[name] = {"before": journal.env[name]["before"] if name in journal.env else line, "after": value}
    journal.save()
    setup.env_file.put(name, f"{name}={value}")
    say(f"wrote   {name} to {setup.env_file.path.name}")


def variables() -> set[str]:
    """What the project reads from the environment."""
    return {field.alias for field in ProjectSettings.model_fields.values() if field.alias}


# --- undo ------------------------------------------------------------------------------------------------------------


async def undo(setup: Setup, say: Say) -> list[dict[str, str]]:
    """Restore what was changed and delete what was made, last first. What others have changed since is left."""
    journal, told = setup.journal, []
    known = {resource.key: resource for resource in resources(setup)}

    def tell(action: str, resource: str, detail: str) -> None:
        told.append({"resource": resource, "action": action, "detail": detail})
        say(f"{action} {resource} {detail}".rstrip())

    for key in known:  # whoever comes later needs the ids of those before
        await _reach(known[key])
    for key in [each for each in reversed(known) if each in journal.entries]:
        await _undo_one(known[key], journal, tell)
        journal.drop(key)
    for key in journal.entries:
        tell("left", key, "this project has it no more; run undo in the project that made it")
    for name, entry in reversed(journal.env.items()):
        line = setup.env_file.line(name)
        if line == f"{name}={entry['after']}":
            setup.env_file.put(name, entry["before"])
            tell("restored", name, f"in {setup.env_file.path.name}")
        elif line != entry["before"]:
            tell("left", name, "it has been changed since")
    journal.env = {}
    journal.save()
    return told


async def _reach(resource: Resource) -> None:
    """Learn the id of what there is, without a question."""
    journal, setup = resource.setup.journal, resource.setup
    entry = journal.entry(resource.key)
    if not entry:
        known = (setup.value(resource.variable) if resource.variable else "") or journal.choices.get(
            resource.flag or ""
        )
        if known:
            setup.ids[resource.key] = known
        return
    ids = [*entry.get("made", []), *([entry["id"]] if entry.get("id") else [])]
    if entry.get("begun") and (record := await resource.read()):
        if resource.begun:
            journal.made(resource.key, resource.begun)
        ids.append(resource.identify(record))
    if ids:
        setup.ids[resource.key] = ids[-1]


async def _undo_one(resource: Resource, journal: Journal, tell: Callable[[str, str, str], None]) -> None:
    entry = journal.entry(resource.key)
    for id in reversed(entry.get("made", [])):
        await resource.delete(id)
        journal.gone(resource.key, id)
        tell("deleted", resource.key, id)
    if not entry.get("before"):
        return
    id, record = entry["id"], await resource.fetch(entry["id"])
    if record is None:
        tell("left", resource.key, f"{id} is not there any more")
        return
    back = {}
    for name, before in entry["before"].items():
        if resource.same(name, record.get(name), entry["after"][name]):
            back[name] = before
        elif not resource.same(name, record.get(name), before):
            tell("left", resource.key, f"{name} has been changed since")
    if back:
        await resource.restore(id, back)
        tell("restored", resource.key, ", ".join(back))


# --- verify ----------------------------------------------------------------------------------------------------------


async def verify(setup: Setup) -> list[Check]:
    """Walk the chain from one end to the other. A link that is broken does not keep the others from being looked at."""
    found: list[Check] = []
    for resource in resources(setup):
        try:
            step = await resource.look()
            if step.record is None:
                found.append(Check(resource.key, "exists", False, "It is not there: agent setup apply makes it."))
                continue
            found.append(Check(resource.key, "exists", True))
            for each in step.changes:
                detail = f"It is {shown(each.before)}, not {shown(each.after)}: agent setup apply changes it."
                found.append(Check(resource.key, each.field, False, detail))
            if name := resource.variable:
                found += _in_env(setup, resource, name, resource.value(step.record))
            found += [check async for check in resource.checks(step.record)]
        except SetupError as error:
            found.append(Check(resource.key, "answers", False, str(error)))
    return found


def _in_env(setup: Setup, resource: Resource, name: str, id: str) -> list[Check]:
    if name not in variables():
        return []
    if setup.value(name) == id:
        return [Check(resource.key, name, True)]
    return [Check(resource.key, name, False, f"It does not name {id}: agent setup apply writes it.")]


async def webhook(
    setup: Setup, resource: str, path: str, form: Mapping[str, str] | None = None, body: Any = None
) -> AsyncIterator[Check]:
    """Prove that Twilio reaches a webhook of ours: it refuses what is not signed, and takes what is."""
    url = f"{setup.settings.public_url}{path}"
    validator = RequestValidator(setup.settings.auth_token.get_secret_value())
    kind = {"Content-Type": "application/json" if body is not None else "application/x-www-form-urlencoded"}
    content = json.dumps(body).encode() if body is not None else str(httpx2.QueryParams(dict(form or {}))).encode()
    if body is not None:
        url += f"?bodySHA256={hashlib.sha256(content).hexdigest()}"
    signature = validator.compute_signature(url, dict(form or {}))
    try:
        async with httpx2.AsyncClient(transport=setup.web, timeout=15) as http:
            stranger = await http.post(url, content=content, headers=kind)
            ours = await http.post(url, content=content, headers={**kind, "X-Twilio-Signature": signature})
    except httpx2.TransportError as error:
        yield Check(
            resource, f"{path} is reachable", False, f"{type(error).__name__}: is `agent serve` up, PUBLIC_URL right?"
        )
        return
    yield Check(resource, f"{path} is reachable", True)
    refused = stranger.status_code in (401, 403)
    yield Check(
        resource,
        f"{path} refuses what is not signed",
        refused,
        "" if refused else f"It answered {stranger.status_code}: is PUBLIC_URL this project, and not a page before it?",
    )
    taken = 200 <= ours.status_code < 300
    yield Check(
        resource,
        f"{path} takes what is signed",
        taken,
        ""
        if taken
        else f"It answered {ours.status_code}: the server's PUBLIC_URL and TWILIO_AUTH_TOKEN must be these.",
    )
    setup.records[path] = {"text": ours.text}


# --- words -----------------------------------------------------------------------------------------------------------


def shown(value: Any) -> Any:
    """A value for people: without passwords that stand in addresses."""
    if isinstance(value, str):
        return re.sub(r"(https?://)[^/@\s\"]+@", r"\1***@", value)
    if isinstance(value, Mapping):
        return {name: shown(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shown(each) for each in value]
    return value
