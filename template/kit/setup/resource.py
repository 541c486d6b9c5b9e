"""Resource, the base class of everything that setup creates or changes in the account, and its context."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import httpx2

from app import config
from app.registry import ProjectSettings
from kit.setup.api import Api, ApiError, OperationFailed, Record, SetupError, SetupSettings
from kit.setup.env_file import EnvFile
from kit.setup.journal import Journal

UNKNOWN_UNTIL_APPLY = "(known when it is made)"  # placeholder in a plan for an id that does not exist yet
SEARCH_ATTEMPTS = 5  # searches by name for an unfinished creation, 1 s apart, before it is created again

Action = Literal["create", "change", "keep"]
Ask = Callable[[str, Sequence[tuple[str, str]]], Awaitable[str]]


@dataclass
class Choices:
    """Values of flags, values remembered in the journal, and `ask` (None without a terminal)."""

    flags: dict[str, str] = field(default_factory=dict)
    remembered: dict[str, str] = field(default_factory=dict)
    ask: Ask | None = None

    async def choose(self, what: str, options: Sequence[tuple[str, str]], default: str | None = None) -> str:
        """`options` are (label, value). Raises SetupError, which names the flag, when the value is ambiguous."""
        known = self.flags.get(what) or self.remembered.get(what)
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
        self.remembered[what] = value
        return value


@dataclass
class SetupContext:
    """Context of one command. `ids` and `records` are by key of a resource; `web` carries requests to PUBLIC_URL."""

    settings: SetupSettings
    api: Api
    journal: Journal
    env_file: EnvFile
    choices: Choices
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    ids: dict[str, str] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    web: httpx2.AsyncBaseTransport | None = None
    folder: Path = Path("agent")  # the user's folder

    @property
    def name(self) -> str:
        """Name of the resources that setup creates."""
        return (self.choices.flags.get("name") or self.choices.remembered.get("name") or config.PROJECT)[:32]

    def value(self, variable: str) -> str:
        """Value of an environment variable; the environment overrides `.env`."""
        return (self.environ.get(variable) or self.env_file.value(variable)).strip()


@dataclass(frozen=True)
class Change:
    field: str
    before: Any
    after: Any


@dataclass
class Step:
    """A resource, its record in the account (None: missing), and the fields to change."""

    resource: Resource
    action: Action
    record: Record | None
    wanted: Record
    changes: list[Change]

    def json(self) -> dict[str, Any]:
        return {
            "resource": self.resource.key,
            "action": self.action,
            "id": self.resource.id_of(self.record) if self.record else None,
            "changes": [
                {"field": each.field, "before": without_passwords(each.before), "after": without_passwords(each.after)}
                for each in self.changes
            ],
            "one_way": list(self.resource.one_way) if self.action != "keep" else [],
            "notes": list(self.resource.notes(self)),
        }


@dataclass(frozen=True)
class Proof:
    """Result of one proof of `verify`; `detail` says what is wrong and what to do."""

    resource: str
    check: str
    ok: bool
    detail: str = ""


class Resource:
    """One resource of the account. Its id is in `.env` (`variable`) or given by `flag`."""

    kind: ClassVar[str] = ""
    variable: ClassVar[str | None] = None
    flag: ClassVar[str | None] = None
    requires: ClassVar[Sequence[str]] = ()  # kinds that come first; undo goes in the reverse order
    is_replaced: ClassVar[bool] = False  # a change creates another in its place
    one_way: Sequence[str] = ()
    resumed_id: str | None = None  # id of an unfinished creation, once it is found

    def __init__(self, setup: SetupContext, key: str = "") -> None:
        self.setup = setup
        self.api = setup.api
        self.key = key or self.kind

    @classmethod
    def all(cls, setup: SetupContext) -> Sequence[Resource]:
        """The instances of this class; one by default."""
        return [cls(setup)]

    # --- methods of subclasses ---------------------------------------------------------------------------------------

    def id_of(self, record: Record) -> str:
        return str(record.get("id") or record.get("sid"))

    def value(self, record: Record) -> str:
        """Value of `variable` in `.env`."""
        return self.id_of(record)

    async def fetch(self, id: str) -> Record | None:
        """The record with this id, or None."""
        raise NotImplementedError

    async def search(self) -> Record | None:
        """Find the record by name."""
        return None

    async def wanted_fields(self, existing: Record | None) -> Record:
        """The fields that the record must have. Values that others have added to `existing` are kept."""
        raise NotImplementedError

    async def create(self, wanted: Record) -> str:
        """Returns the id."""
        raise SetupError(f"There is no {self.key}, and setup does not make one.")

    async def change(self, id: str, fields: Record) -> str:
        """Returns the id; a new one if the resource was replaced."""
        raise NotImplementedError

    async def wait_until_ready(self, id: str) -> None:
        """Wait until the resource is usable. Raises SetupError at a timeout."""

    async def restore(self, id: str, fields: Record) -> None:
        await self.change(id, fields)

    async def delete(self, id: str) -> None:
        raise NotImplementedError

    def proofs(self, record: Record) -> AsyncIterator[Proof]:
        """Proofs beyond existence and wanted fields."""
        return no_proofs()

    def notes(self, step: Step) -> Sequence[str]:
        return ()

    def same(self, name: str, before: Any, after: Any) -> bool:
        """True if two values of a field are equivalent."""
        return before == after or (not before and not after)

    # --- used by plan, apply, verify and undo ------------------------------------------------------------------------

    async def read(self) -> Record | None:
        """The record, or None. Lookup order: unfinished creation, flag, `.env`, journal, name."""
        entry = self.setup.journal.entry(self.key)
        named = self.setup.choices.flags.get(self.flag or "")
        if (pending := entry.get("pending")) and (record := await self._read_pending(pending)):
            id = self.id_of(record)
            if id != pending.get("replaces") and named in (None, id):
                self.resumed_id = id
                return record
        if named:
            if record := await self.fetch(named):
                return record
            raise SetupError(f"--{self.flag}: there is no {self.kind} {named} in this account.", 2)
        kept = self.setup.choices.remembered.get(self.flag or "", "")
        for id in [self.setup.value(self.variable) if self.variable else "", *reversed(entry.get("created", [])), kept]:
            if id and (record := await self.fetch(id)):
                return record
        return await self.search()

    async def _read_pending(self, pending: Record) -> Record | None:
        """The record of a creation whose response was lost, or None. The record may appear some seconds late."""
        if pending.get("statusUrl"):
            try:
                return await self.fetch(self.id_from_operation(await self.api.wait_for_operation(pending)))
            except OperationFailed:
                self.setup.journal.discard_pending(self.key)
                return None
        for look in range(SEARCH_ATTEMPTS):
            if look:
                await self.api.pause(1)
            if record := await self.search():
                return record
        return None

    async def create_and_record(self, wanted: Record) -> str:
        """Create the resource and return its id. The journal keeps a creation as pending if its result is unknown."""
        try:
            id = await self.create(wanted)
        except ApiError as refused:
            if refused.status < 500:
                self.setup.journal.discard_pending(self.key)
            raise
        self.setup.journal.record_created(self.key, id)
        return id

    def id_from_operation(self, operation: Record) -> str:
        """The id in a completed operation."""
        raise NotImplementedError

    async def wait_for_id(self, accepted: Record) -> str:
        """The id of an accepted creation: at once, or after polling, which a later run can resume."""
        if not accepted.get("statusUrl"):
            return self.id_of(accepted)
        self.setup.journal.update(self.key, pending={"statusUrl": accepted["statusUrl"]})
        return self.id_from_operation(await self.api.wait_for_operation(accepted))

    async def compare(self) -> Step:
        record = await self.read()
        self.publish(record)
        wanted = await self.wanted_fields(record)
        changes = [
            Change(name, (record or {}).get(name), value)
            for name, value in wanted.items()
            if record is None or not self.same(name, record.get(name), value)
        ]
        return Step(self, "create" if record is None else "change" if changes else "keep", record, wanted, changes)

    def publish(self, record: Record | None) -> None:
        """Make id and record available to later resources."""
        if self.kind:
            self.setup.ids[self.key] = self.id_of(record) if record else UNKNOWN_UNTIL_APPLY
        if record:
            self.setup.records[self.key] = record


async def no_proofs() -> AsyncIterator[Proof]:
    proofs: list[Proof] = []
    for proof in proofs:
        yield proof


def variables() -> set[str]:
    """Environment variables that the project reads."""
    return {field.alias for field in ProjectSettings.model_fields.values() if field.alias}


def without_passwords(value: Any) -> Any:
    """The value with passwords in URLs masked, for output."""
    if isinstance(value, str):
        return re.sub(r"(https?://)[^/@\s\"]+@", r"\1***@", value)
    if isinstance(value, Mapping):
        return {name: without_passwords(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_passwords(each) for each in value]
    return value
