"""`agent replay`: the signals whose reaction failed, once more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from app.capability import Capability
    from app.intelligence import Intelligence


def replay() -> None:
    """React again to the signals whose reaction has failed. Exits with 1 when one fails again."""
    from app.capability import Services
    from app.environment import load, refused
    from app.intelligence import Intelligence
    from app.log import configure_logging
    from app.registry import CAPABILITIES, PARTS, STORE

    configure_logging("critical")
    with refused():
        settings = load(models_too=False)
    services = Services(settings, STORE.build(settings), lambda: datetime.now(UTC), parts=PARTS)
    services.capabilities = [capability.build(services) for capability in CAPABILITIES]
    (intelligence,) = [capability for capability in services.capabilities if isinstance(capability, Intelligence)]
    raise typer.Exit(1 if asyncio.run(with_all_open(services.capabilities, intelligence)) else 0)


async def with_all_open(capabilities: Sequence[Capability], intelligence: Intelligence) -> int:
    """A reaction may need what the other capabilities offer."""
    from app.capability import Capability, run_hooks

    await run_hooks(capabilities, Capability.open)
    try:
        return await replayed(intelligence)
    finally:
        await run_hooks(capabilities, Capability.close)


async def replayed(intelligence: Intelligence) -> int:
    """Runs each reaction with what was kept of its conversation. Returns how many failed again: they are kept on."""
    lines = list(intelligence.failed.take(intelligence.now()))
    if not lines:
        typer.echo(f"{intelligence.failed.path} holds no failed signal.")
    again = 0
    for line in lines:
        failure = await intelligence.react_again(line)
        again += bool(failure)
        mark, color = (f"FAIL {described(line)}: {failure}", "red") if failure else (f"ok   {described(line)}", "green")
        typer.secho(mark, fg=color)
    intelligence.failed.done()
    if again:
        typer.echo(f"{again} of {len(lines)} failed again and stay in {intelligence.failed.path} for a week.")
    return again


def described(line: dict[str, Any]) -> str:
    """Which signal it is, without what was found out."""
    return f"{line['signal']['kind']} for {line['session']['id']}, kept at {line['at'][:19]}"


COMMANDS = [replay]
