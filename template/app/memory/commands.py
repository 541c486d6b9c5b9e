"""`agent forget`: delete what is known of a caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from app.memory.backend import Forgotten, Identity
    from app.settings import Settings


def forget(
    who: Annotated[str, typer.Argument(help="A phone number such as +15005550006, or an email address.")],
    account: Annotated[bool, typer.Option("--account", help="WHO is an account id.")] = False,
) -> None:
    """Delete what is known of a caller: profile, observations and summaries. It cannot be undone."""
    from app.environment import load, refused
    from app.log import configure_logging
    from app.memory.backend import E164, Identity

    if account:
        identity = Identity("account_id", who.strip())
    elif "@" in who:
        identity = Identity("email", who.strip().lower())
    elif E164.fullmatch(who):
        identity = Identity("phone", who)
    else:
        typer.secho(
            f"{who!r} is no phone number. Write + and the country code, as in +15005550006.", fg="red", err=True
        )
        raise typer.Exit(2)
    configure_logging("error")
    with refused("Nothing was deleted."):
        settings = load(models_too=False)
    try:
        forgotten = asyncio.run(erase(settings, identity))
    except Exception as error:
        status = getattr(error, "status", None)
        why = f"{type(error).__name__}{f' {status}' if status else ''}"
        typer.secho(f"Memory did not answer ({why}); something may be left. Try again.", fg="red", err=True)
        raise typer.Exit(1) from None
    typer.echo(told(identity.value, forgotten))


async def erase(settings: Settings, identity: Identity) -> Forgotten:
    from datetime import UTC, datetime

    from app.capability import Services
    from app.memory.backend import Backend
    from app.registry import PARTS
    from app.store import InProcess

    services = Services(settings, InProcess(), lambda: datetime.now(UTC), parts=PARTS)
    (backend,) = services.parts_of(Backend)
    memory = backend.build(services)
    try:
        return await memory.forget(identity)
    finally:
        await memory.close()


def told(who: str, forgotten: Forgotten) -> str:
    """What was deleted, in words."""
    if not forgotten.profiles:
        return f"Nothing is known of {who}. Nothing was deleted."
    counts = [
        count(forgotten.profiles, "profile", "profiles"),
        count(forgotten.observations, "observation", "observations"),
        count(forgotten.summaries, "summary", "summaries"),
    ]
    return f"Deleted of {who}: {', '.join(counts[:-1])} and {counts[-1]}."


def count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


COMMANDS = [forget]
