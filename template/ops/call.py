"""`agent call`: talk to the agent."""

from __future__ import annotations

from typing import Annotated

import typer


def call(
    script: Annotated[bool, typer.Option("--script", help="Use the script even if a model key is set.")] = False,
) -> None:
    """Talk to the agent in this terminal. Needs no account; with a model key the real model answers."""
    from ops.talk import talk
    from sim import console

    talk(console.talk, script)
