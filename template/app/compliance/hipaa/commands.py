"""`rotate-key`: replace the API key of Twilio in two steps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from app.compliance.hipaa.rotation import RotationError, begin, finish
from app.environment import exit_on_settings_error, load
from app.log import configure_logging

FIRST_KEY = "{file} has an API key. Bring TWILIO_API_KEY and TWILIO_API_SECRET to every server, and restart each."
FIRST_STEP = """\
A new key is in {file}; {old} works on. Now:
1. Bring TWILIO_API_KEY and TWILIO_API_SECRET to every server, and restart each.
2. Run rotate-key --finish, which revokes {old}."""


def rotate_key(
    second: Annotated[bool, typer.Option("--finish", help="Revoke the old key: every server has the new one.")] = False,
    file: Annotated[Path, typer.Option(help="The file with the key.")] = Path(".env"),
) -> None:
    """Replace the API key of Twilio: first a new one beside the old one, then --finish."""
    configure_logging("error")
    with exit_on_settings_error("Nothing was changed."):
        settings = load(require_model_keys=False)
    try:
        old = asyncio.run((finish if second else begin)(settings, file))
    except RotationError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    except Exception as error:  # its text may quote the key
        reason = " ".join(filter(None, [type(error).__name__, str(getattr(error, "status", "") or "")]))
        typer.secho(f"Twilio or {file} refused ({reason}). The old key works on.", fg="red", err=True)
        raise typer.Exit(1) from None
    next_step = FIRST_STEP if old else FIRST_KEY
    typer.echo(f"{old} is revoked." if second else next_step.format(file=file, old=old))


COMMANDS = [rotate_key]
