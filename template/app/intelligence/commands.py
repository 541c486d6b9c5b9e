"""`replay`: run the reactions to failed signals again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import typer

from app.capability import Capability, Services, run_hooks
from app.environment import exit_on_settings_error, load
from app.intelligence import Intelligence
from app.log import configure_logging
from app.registry import CAPABILITIES, PARTS, STORE


def replay() -> None:
    """Run the reactions to failed signals again. Exits with 1 when one fails again."""
    configure_logging("critical")
    with exit_on_settings_error():
        settings = load(require_model_keys=False)
    services = Services(settings, STORE.build(settings), lambda: datetime.now(UTC), parts=PARTS)
    services.capabilities = [capability.build(services) for capability in CAPABILITIES]
    raise typer.Exit(1 if asyncio.run(replay_all(services)) else 0)


async def replay_all(services: Services) -> int:
    """Run each reaction with the session as it was kept. Returns how many failed again; their signals are kept."""
    (intelligence,) = [capability for capability in services.capabilities if isinstance(capability, Intelligence)]
    await run_hooks(services.capabilities, Capability.open)  # a reaction may use actions of other capabilities
    try:
        lines = list(intelligence.failed.take_all(intelligence.now()))
        errors = [await replay_one(intelligence, line) for line in lines]
        intelligence.failed.delete_taken()
    finally:
        await run_hooks(services.capabilities, Capability.close)
    failures = sum(error is not None for error in errors)
    if not lines:
        typer.echo(f"{intelligence.failed.path} holds no failed signal.")
    if failures:
        typer.echo(f"{failures} of {len(lines)} failed again and stay in {intelligence.failed.path} for a week.")
    return failures


async def replay_one(intelligence: Intelligence, line: dict[str, Any]) -> str | None:
    """The type of the error when the reaction failed again, or None. The result of the operator is not printed."""
    error = await intelligence.replay(line)
    name = f"{line['signal']['kind']} for {line['session']['id']}, kept at {line['at'][:19]}"
    mark, color = (f"FAIL {name}: {error}", "red") if error else (f"ok   {name}", "green")
    typer.secho(mark, fg=color)
    return error


COMMANDS = [replay]
