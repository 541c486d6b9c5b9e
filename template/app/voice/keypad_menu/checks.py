"""Whom the keypad menu leads to, and what it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from app import config
from app.registry import folders
from app.voice.checks import own_numbers
from app.voice.keypad_menu.phrases import menu
from kit.doctor.check import Context, check, masked
from kit.doctor.sentences import unspeakable

DIAL = "https://www.twilio.com/docs/voice/twiml/dial"


@check(
    "KEY001",
    hint="Write AGENT_FALLBACK_NUMBER=+… into .env: people who answer there.",
    docs=DIAL,
    requires=("ENV001",),
    until_set_up=True,
)
def person_reachable(context: Context) -> Iterator[str]:
    """Key 1 of the keypad menu leads to a person."""
    if not context.settings.fallback_number and "app.escalation" not in folders():
        rest = "a voicemail only" if config.VOICEMAIL else "no menu, and the call ends"
        yield f"AGENT_FALLBACK_NUMBER is not set: callers whom the agent cannot answer get {rest}."


@check("KEY002", hint="Take a number that a person answers.", docs=DIAL, live=True, requires=("KEY001", "NUM002"))
async def person_is_no_agent(context: Context) -> AsyncIterator[str]:
    """AGENT_FALLBACK_NUMBER is none of this agent's own numbers."""
    number = context.settings.fallback_number
    if number in [own.phone_number for own in await context.cached(own_numbers)]:
        yield f"AGENT_FALLBACK_NUMBER is {masked(number)}, which calls this agent: callers would go round in circles."


@check("KEY003", hint="Write the sentence in agent/keypad_menu.py as it is spoken.", docs=DIAL)
def menu_speakable(context: Context) -> Iterator[str]:
    """The sentences of agent/keypad_menu.py can be spoken."""
    yield from unspeakable(menu)
