"""What only phone calls have: what a line can do, and what a capability may contribute beside its other hooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from agent import words
from app.line import Line, NotOffered

if TYPE_CHECKING:
    from app.session import Session


class PhoneLine(Line):
    """The call itself. A path overrides what Twilio lets it do; `handoff` reaches the `<Connect action>` route."""

    spoken = True
    hold = words.HOLD
    apology = words.APOLOGY

    async def play(self, source: str, loop: int = 1) -> None:
        """Play an audio file (https URL) to the caller, `loop` times."""
        raise NotOffered("play")

    async def send_digits(self, digits: str) -> None:
        """Press keys on the far end: 0-9, *, # and w for a pause of half a second."""
        raise NotOffered("send_digits")

    async def switch_language(self, code: str) -> None:
        """Hear and speak another of the languages that the project declares, as in "es-MX"."""
        raise NotOffered("switch_language")


@runtime_checkable
class OnRelay(Protocol):
    """A capability that says how Twilio should carry calls."""

    def relay(self) -> Mapping[str, str]:
        """Attributes of `<ConversationRelay>`, in snake_case."""


@runtime_checkable
class OnHandoff(Protocol):
    """A capability that takes callers further."""

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        """TwiML that takes the caller further after the agent ended with `handoff`, or None."""
