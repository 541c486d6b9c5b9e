"""`agent replay`: the signals whose reaction failed, once more."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from app.intelligence import Intelligence


def replay() -> None:
    """React again to the signals whose reaction has failed. Exits with 1 when one fails again."""
    from app.capability import Services
    from app.features import STORE
    from app.intelligence import Intelligence
    from ops.environment import SettingsError, load
    from ops.log import configure_logging

    configure_logging("critical")
    try:
        settings = load()
    except SettingsError as error:
        for problem in error.problems:
            typer.secho(problem, fg="red", err=True)
        raise typer.Exit(2) from None
    intelligence = Intelligence.build(Services(settings, STORE.build(settings), lambda: datetime.now(UTC)))
    again = asyncio.run(replayed(intelligence))
    raise typer.Exit(1 if again else 0)


async def replayed(intelligence: Intelligence) -> int:
    """Runs each reaction with the call as it was kept. Returns how many failed again; these are kept once more."""
    lines = list(intelligence.failed.take(intelligence.now()))
    if not lines:
        typer.echo(f"{intelligence.failed.path} holds no failed signal.")
    again = 0
    for line in lines:
        failure = await intelligence.react_again(line)
        again += bool(failure)
        mark, color = (f"FAIL {described(line)}: {failure}", "red") if failure else (f"ok   {described(line)}", "green")
        typer.secho(mark, fg=color)
        if failure == "NotOffered":
            typer.echo("     What it needs is only there during a call, or on the server that had the call.")
    intelligence.failed.done()
    if again:
        typer.echo(f"{again} of {len(lines)} failed again and stay in {intelligence.failed.path} for a week.")
    return again


def described(line: dict[str, Any]) -> str:
    """Which signal it is, without what was found out."""
    return f"{line['signal']['kind']} for {line['call']['id']}, kept at {line['at'][:19]}"
