"""`export` and `forget` for a person, and `expire` for old memories. They run where the data is."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer

from app.capability import Services
from app.compliance.gdpr import erasure
from app.compliance.gdpr.source import Person
from app.environment import exit_on_settings_error, load
from app.log import configure_logging
from app.registry import PARTS, STORE

T = TypeVar("T")
Who = Annotated[str, typer.Argument(help="A phone number such as +15005550006, or an email address.")]
Account = Annotated[bool, typer.Option("--account", help="WHO is an account id.")]

IN_CALL = "A call of this person goes on. Nothing was deleted. Try again when it is over."
ELSEWHERE = """\
Recordings, messages, calls and conversations have no expiry here. Recordings: Console, Voice, Settings, delete
automatically. The others stay until you delete them, as with forget."""


def export(
    who: Who,
    account: Account = False,
    file: Annotated[Path | None, typer.Option(help="Write to this file, which must not exist.")] = None,
) -> None:
    """Write everything that the project and the account hold of a person, as JSON. Recordings as their addresses."""
    person = person_of(who, account)
    data = run(settings("Nothing was exported."), lambda services: erasure.export(services, person))
    text = as_text(data)
    if file is None:
        typer.echo(text)
    else:
        write_private(file, text)
    if data["unread"]:
        fail(f"Not complete: {', '.join(data['unread'])} did not answer. Try again.")


def forget(
    who: Who,
    account: Account = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete everything that the project and the whole Twilio account hold of a person, and print a receipt.

    This cannot be undone. Exits with 1 when something is left: run it again.
    """
    person, own = person_of(who, account), settings("Nothing was deleted.")
    if not yes:
        typer.confirm(f"Delete all data of {person.value}, in the whole account?", abort=True, err=True)
    try:
        receipt = run(own, lambda services: erasure.erase(services, person))
    except erasure.InProgressError:
        fail(IN_CALL)
    typer.echo(as_text(receipt.as_json()))
    if not receipt.complete:
        fail("Not everything is deleted: see left and unread. Run it again.")


def expire() -> None:
    """Delete memories that are older than AGENT_MEMORY_DAYS. Run it every day."""
    deleted = run(settings("Nothing was deleted."), erasure.expire) if has_memory() else {}
    for name, count in deleted.items():
        typer.echo(f"{name}: {count} deleted" if isinstance(count, int) else f"{name} did not answer ({count})")
    typer.echo(ELSEWHERE)
    if any(isinstance(count, str) for count in deleted.values()):
        raise typer.Exit(1)


def has_memory() -> bool:
    from app.registry import folders

    return "app.memory" in folders()


def as_text(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False, default=str)


def person_of(who: str, account: bool) -> Person:
    """Exits with 2 for what is neither a number nor an address."""
    if account and who.strip():
        return Person("account_id", who.strip())
    if "@" in who:
        return Person("email", who.strip().lower())
    if re.fullmatch(r"\+[1-9]\d{6,14}", who):
        return Person("phone", who)
    fail(f"{who!r} is no phone number. Write + and the country code, as in +15005550006.", 2)


def settings(hint: str) -> Any:
    """Exits with 2 and `hint` for settings that are missing or wrong."""
    configure_logging("error")
    with exit_on_settings_error(hint):
        return load(require_model_keys=False)


def run(settings: Any, work: Callable[[Services], Awaitable[T]]) -> T:
    async def start() -> T:
        services = services_of(settings)
        try:
            return await work(services)
        finally:
            await services.store.close()

    return asyncio.run(start())


def services_of(settings: Any) -> Services:
    return Services(settings, STORE.build(settings), lambda: datetime.now(UTC), parts=PARTS)


def write_private(file: Path, text: str) -> None:
    """A file that only its owner reads."""
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
    except OSError as error:
        fail(f"{file} cannot be written ({error.strerror}). Name another file.", 2)


def fail(text: str, code: int = 1) -> NoReturn:
    typer.secho(text, fg="red", err=True)
    raise typer.Exit(code)


COMMANDS = [export, forget, expire]
