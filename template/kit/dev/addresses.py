"""The addresses in the account that lead calls and messages to PUBLIC_URL: moved for a while, and put back.

The fields of `agent setup` that name PUBLIC_URL are changed, and all of the number. Their values of before stand in a
journal before the first change, so that the next `agent dev` or `agent setup` can put back what a killed one left.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx2

from kit.setup.api import Api, SetupError, SetupSettings
from kit.setup.apply import resources
from kit.setup.env_file import EnvFile
from kit.setup.journal import FILE, Journal
from kit.setup.number import Number
from kit.setup.resource import Ask, Choices, SetupContext
from kit.setup.undo import undo

JOURNAL = ".agent-dev.json"
LOCK = ".agent-dev.lock"
NOWHERE = "https://agent.invalid"  # an address for requests that change none
IS_RUNNING = "agent dev is running in this folder. End it first, with Ctrl-C there."

Say = Callable[[str], None]


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Raises SetupError while another process has the lock, which the system takes from one that was killed."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SetupError(IS_RUNNING, 2) from None
        yield


@asynccontextmanager
async def context(
    folder: Path,
    public_url: str = NOWHERE,
    *,
    number: str = "",
    ask: Ask | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> AsyncIterator[SetupContext]:
    """The account, with a journal of its own. What the user chose in `agent setup` is chosen here too."""
    settings = SetupSettings(public_url=public_url)
    chosen = Journal(folder / FILE, settings.account_sid).choices
    choices = Choices({"number": number} if number else {}, dict(chosen), ask)
    api = Api(settings, transport)
    try:
        journal, env_file = Journal(folder / JOURNAL, settings.account_sid), EnvFile(folder / ".env")
        yield SetupContext(settings, api, journal, env_file, choices, folder=folder / "agent")
    finally:
        await api.close()


async def move(own: SetupContext, say: Say) -> None:
    """Lead calls and messages to PUBLIC_URL. Raises SetupError; what was changed then stands in the journal."""
    for resource in resources(own):
        step = await resource.compare()
        is_number = isinstance(resource, Number)
        fields = {
            each.field: each for each in step.changes if is_number or own.settings.public_url in json.dumps(each.after)
        }
        if step.record is None or not fields:
            continue
        if resource.is_replaced:
            say(f"The {resource.key} still calls the address of before: agent setup apply makes it anew.")
            continue
        id = resource.id_of(step.record)
        before = {name: each.before for name, each in fields.items()}
        after = {name: each.after for name, each in fields.items()}
        own.journal.record_change(resource.key, id, before, after)
        await resource.change(id, after)
        say(f"moved    {resource.key}: {', '.join(fields)}")


async def put_back(own: SetupContext, say: Say) -> None:
    """Restore what `move` has changed, here or in a run that was killed. Raises SetupError."""
    try:
        if own.journal.entries:
            await undo(own, say)
    except SetupError as error:
        later = f"{own.journal.path.name} has what agent dev moved: agent setup undo or agent dev puts it back later."
        raise SetupError(f"{error} {later}") from None


async def put_back_leftovers(own: SetupContext, say: Say) -> None:
    """Put back what a killed `agent dev` has left. Raises SetupError while one is running."""
    folder = own.env_file.path.parent
    if (folder / JOURNAL).exists():
        with only_one(folder):
            say("The last agent dev was killed. What it had moved is put back first.")
            await put_back(replace(own, journal=Journal(folder / JOURNAL, own.settings.account_sid)), say)
            own.ids.clear()
            own.records.clear()
