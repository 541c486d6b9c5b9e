"""`agent text`: text the agent, as `agent call` calls it."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer


def text(
    script: Annotated[bool, typer.Option("--script", help="Use the script even if a model key is set.")] = False,
) -> None:
    """Text the agent in this terminal. Needs no account; with a model key the real model answers."""
    from ops.environment import missing_model_keys, models
    from ops.log import configure_logging
    from sim.model import understudy
    from sim.text import talk

    configure_logging("error")
    chosen = models()
    if missing := missing_model_keys():
        typer.echo(f"No {', '.join(missing)}: a script answers instead of {chosen[0]}.")
    if missing or script:
        code = asyncio.run(talk(understudy(), "a script, not a model", local=True))
    else:
        code = asyncio.run(talk(chosen, chosen[0], local=False))
    raise typer.Exit(code)
