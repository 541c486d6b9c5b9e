"""`agent text`: text the agent."""

from __future__ import annotations

from typing import Annotated

import typer


def text(
    script: Annotated[bool, typer.Option("--script", help="Use the script even if a model key is set.")] = False,
) -> None:
    """Text the agent in this terminal. Needs no account; with a model key the real model answers."""
    from ops.talk import talk
    from sim import text

    talk(text.talk, script)
