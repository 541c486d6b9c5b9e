"""A conversation in progress: what a tool may know of it and do to it. All that `agent/` imports of `app/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart

if TYPE_CHECKING:
    from app.brain import Turn


Offer = Callable[..., Awaitable[bool]]


class NotOffered(Exception):
    """The chosen path cannot do this to a call."""


class Line:
    """The call itself. A path overrides what Twilio lets it do; the rest says so by raising NotOffered."""

    open = True
    spoken = True  # a call; a conversation in writing has no silence to fill
    turn_is_open = False  # the agent's words are being sent

    async def say(self, text: str) -> None:
        """Say something at once, between the agent's turns or after the words that are being spoken."""
        raise NotOffered("say")

    async def say_last(self, text: str) -> None:
        """Say something in this turn, after what has been said in it."""
        await self.say(text)

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        """Leave the call: after the words of this turn, or at once when the agent is silent.

        `handoff` reaches the `<Connect action>` route.
        """
        raise NotOffered("end")

    async def play(self, source: str, loop: int = 1) -> None:
        """Play an audio file (https URL) to the caller, `loop` times."""
        raise NotOffered("play")

    async def send_digits(self, digits: str) -> None:
        """Press keys on the far end: 0-9, *, # and w for a pause of half a second."""
        raise NotOffered("send_digits")

    async def switch_language(self, code: str) -> None:
        """Hear and speak another of the languages that the project declares, as in "es-MX"."""
        raise NotOffered("switch_language")


@dataclass
class Session:
    """One call; `id` is its CallSid. Numbers are E.164; `now` is the project's clock (UTC).

    `guidance` is what the model heeds from its next turn on, `hearing` what the caller is just saying, `state` what the
    capabilities keep: JSON, under a name of their own. All up to `guidance` survives a change of worker.
    """

    id: str
    caller: str
    called: str
    language: str
    now: Callable[[], datetime]
    line: Line = field(default_factory=Line)
    parameters: Mapping[str, str] = field(default_factory=dict)
    greeting: str = ""
    history: list[ModelMessage] = field(default_factory=list)
    conversation_id: str | None = None
    profile_id: str | None = None
    state: dict[str, Any] = field(default_factory=dict)
    guidance: list[str] = field(default_factory=list)
    hearing: str = ""
    turn: Turn | None = None
    ending: bool = False
    offers: dict[str, Offer] = field(default_factory=dict)

    async def say(self, text: str) -> None:
        """Say something at once, and have the model know that it was said."""
        await self.line.say(text)
        self.history.append(ModelResponse([TextPart(text)]))

    async def escalate(self, reason_code: str, summary: str = "") -> bool:
        """Bring a human into the conversation. False when that is over, or the project has nobody to offer."""
        offer = self.offers.get("escalate") if self.line.open else None
        return await offer(reason_code, summary) if offer else False


_this_session: ContextVar[Session] = ContextVar("this_session")
working_for = _this_session.set


def this_session() -> Session:
    """The conversation that the running tool works for. Raises LookupError outside of one."""
    return _this_session.get()
