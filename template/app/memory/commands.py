"""`forget`: delete the memories of a caller."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.capability import Services
from app.environment import exit_on_settings_error, load
from app.log import configure_logging
from app.memory.backend import Backend, Deleted, Identity
from app.registry import PARTS
from app.settings import Settings
from app.store import InProcess


def forget(
    who: Annotated[str, typer.Argument(help="A phone number such as +15005550006, or an email address.")],
    account: Annotated[bool, typer.Option("--account", help="WHO is an account id.")] = False,
) -> None:
    """Delete the memories of a caller: profile, observations and summaries. This cannot be undone."""
    if account:
        identity = Identity("account_id", who.strip())
    elif "@" in who:
        identity = Identity("email", who.strip().lower())
    elif re.fullmatch(r"\+[1-9]\d{6,14}", who):  # also a withheld one, which may have a profile of an earlier release
        identity = Identity("phone", who)
    else:
        typer.secho(
            f"{who!r} is no phone number. Write + and the country code, as in +15005550006.", fg="red", err=True
        )
        raise typer.Exit(2)
    configure_logging("error")
    with exit_on_settings_error("Nothing was deleted."):
        settings = load(require_model_keys=False)
    try:
        deleted = asyncio.run(delete_memories(settings, identity))
    except Exception as error:
        status = getattr(error, "status", None)
        reason = f"{type(error).__name__}{f' {status}' if status else ''}"
        typer.secho(f"Memory did not answer ({reason}); some may be left. Try again.", fg="red", err=True)
        raise typer.Exit(1) from None
    typer.echo(report(identity.value, deleted))


async def delete_memories(settings: Settings, identity: Identity) -> Deleted:
    services = Services(settings, InProcess(), lambda: datetime.now(UTC), parts=PARTS)
    (part,) = services.parts_of(Backend)
    backend: Backend = part.build(services)
    try:
        return await backend.forget(identity)
    finally:
        await backend.close()


def report(who: str, deleted: Deleted) -> str:
    if not deleted.profiles:
        return f"There are no memories of {who}. Nothing was deleted."
    counts = [
        plural(deleted.profiles, "profile", "profiles"),
        plural(deleted.observations, "observation", "observations"),
        plural(deleted.summaries, "summary", "summaries"),
    ]
    return f"Deleted of {who}: {', '.join(counts[:-1])} and {counts[-1]}."


def plural(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


COMMANDS = [forget]
