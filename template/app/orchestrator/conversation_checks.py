"""How the conversation configuration takes calls in."""

from __future__ import annotations

from collections.abc import AsyncIterator

from app.orchestrator.checks import GUIDE, configuration
from kit.doctor.check import Examined, check

INGESTION = "https://www.twilio.com/docs/conversations/orchestrator/concepts/ingestion"


@check(
    "CON001",
    fix="Add a VOICE channel to the conversation configuration, without capture rules.",
    docs=GUIDE,
    live=True,
    needs=("ORC002",),
)
async def voice(examined: Examined) -> AsyncIterator[str]:
    """The conversation configuration takes calls."""
    if "VOICE" not in ((await examined.once(configuration)).channel_settings or {}):
        yield "The conversation configuration has no VOICE channel: calls leave no conversation."


@check(
    "CON002",
    fix="Take the capture rules out of the VOICE channel: ConversationRelay feeds the conversation by itself.",
    docs=INGESTION,
    live=True,
    needs=("CON001",),
)
async def captured_twice(examined: Examined) -> AsyncIterator[str]:
    """Calls are transcribed once."""
    rules = (await examined.once(configuration)).channel_settings["VOICE"].get("captureRules") or []
    if rules:
        yield f"The VOICE channel has {len(rules)} capture rule(s): speech recognition is paid for twice."
