"""`python -m app`: serve, and the commands that need the secrets and the database of production."""

from __future__ import annotations

import os
from pathlib import Path

import typer
from dotenv import load_dotenv

from app.registry import modules

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def environment() -> None:
    """Read `.env` once, for every command. A variable that is set already wins."""
    load_dotenv(Path.cwd() / ".env")
    os.environ.setdefault("TAC_ANALYTICS_DISABLED", "true")
    os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")


@app.command()
def serve() -> None:
    """Answer calls and messages. Exits with 2 when a setting is missing or wrong."""
    from app.environment import exit_on_settings_error, load
    from app.main import serve

    with exit_on_settings_error("Nothing was started."):
        serve(load())


for module in modules("commands"):
    for command in module.COMMANDS:
        app.command()(command)


if __name__ == "__main__":
    app()
