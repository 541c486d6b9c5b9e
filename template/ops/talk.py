"""Who answers when a person talks to the agent in a terminal: the real model, or a script without its key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import typer


def talk(conversation: Callable[..., Coroutine[Any, Any, int]], script: bool) -> None:
    """Hold a conversation, and exit with the code that it returns."""
    from app.features import RUNTIME
    from ops.log import configure_logging
    from sim.model import understudy

    configure_logging("error")
    chosen = RUNTIME.asks()
    if missing := RUNTIME.missing():
        typer.echo(f"No {', '.join(missing)}: a script answers instead of {chosen[0]}.")
    if missing or script:
        code = asyncio.run(conversation([understudy()], "a script, not a model", local=True))
    else:
        code = asyncio.run(conversation(chosen, chosen[0], local=False))
    raise typer.Exit(code)
