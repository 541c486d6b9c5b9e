"""The commands `agent call` and `agent text`. Without a model key a script answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import typer

Conversation = Callable[..., Coroutine[Any, Any, int]]


def command(name: str, conversation: Conversation) -> Callable[..., None]:
    """The command of a channel. Exits with the code that the conversation returns."""

    def run(
        script: Annotated[bool, typer.Option("--script", help="Use the script even if a model key is set.")] = False,
    ) -> None:
        from app.log import configure_logging
        from app.registry import RUNTIME
        from kit.scripted_model import echo_model

        configure_logging("error")
        names = RUNTIME.model_names()
        if missing := RUNTIME.missing_env():
            typer.echo(f"No {', '.join(missing)}: a script answers instead of {names[0]}.")
        if missing or script:
            code = asyncio.run(conversation([echo_model()], "a script, not a model", local=True))
        else:
            code = asyncio.run(conversation(names, names[0], local=False))
        raise typer.Exit(code)

    run.__name__ = name
    verb = {"call": "Talk to", "text": "Text"}[name]
    run.__doc__ = f"{verb} the agent in this terminal. Needs no account; with a model key the real model answers."
    return run
