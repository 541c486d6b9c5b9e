"""Reactions to signals, alerts, and the file of failed signals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from app import config
from kit.doctor.check import Context, check

GUIDE = "https://www.twilio.com/docs/conversations/intelligence"


@check(
    "INT001",
    hint="Let AGENT_FAILED_SIGNALS name a file that the server's user may write; in a container, on a volume.",
    docs="https://docs.docker.com/engine/storage/volumes/",
    requires=("ENV001",),
)
def failed_signals_writable(context: Context) -> Iterator[str]:
    """The file of failed signals can be written."""
    path: Path = context.root / context.settings.failed_signals
    if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
        yield f"AGENT_FAILED_SIGNALS names {path}, which cannot be written: a failed signal would be lost."


@check(
    "INT002",
    hint="Write the https address of the service that takes your alerts into AGENT_ALERT_URL.",
    docs=GUIDE,
    requires=("ENV001",),
)
def alert_url_valid(context: Context) -> Iterator[str]:
    """Alerts are sent encrypted, and to another server."""
    url = context.settings.alert_url
    if not url:
        return
    if url.startswith("http://") and urlsplit(url).hostname not in ("localhost", "127.0.0.1"):
        yield "AGENT_ALERT_URL is http: personal data would travel unencrypted."
    if url.startswith(context.settings.public_url):
        yield "AGENT_ALERT_URL is this server's own address: no person would see an alert."


@check(
    "INT003",
    hint="Write the function into agent/reactions.py, as async def on_<kind>(signal, session), or drop the operator.",
    docs=GUIDE,
    requires=("PRJ004",),
)
def reactions_exist(context: Context) -> Iterator[str]:
    """agent/reactions.py has a reaction for each operator."""
    from app.intelligence.reactions import own_reactions

    for kind in config.OPERATORS:
        if not hasattr(own_reactions, f"on_{kind}"):
            yield f"agent/reactions.py has no on_{kind}: the results of the operator are ignored."
