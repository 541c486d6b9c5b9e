"""A conversation in progress: what a tool may know of it and do to it. All that `agent/` imports of `app/`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart

from app.chosen import Line
from app.line import NotOffered

if TYPE_CHECKING:
    from app.brain import Turn

__all__ = ["Line", "NotOffered", "Offer", "Session", "this_session", "working_for"]

Offer = Callable[..., Awaitable[bool]]


@dataclass
class Session:
    """One conversation: `caller` is who began it, `called` the agent's own number, E.164 both. `id` is Twilio's
    name for it; `now` is the project's clock (UTC).

    `guidance` is what the model heeds from its next turn on, `hearing` what is just being said, `state` what the
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
        said = ModelResponse([TextPart(text)])
        if self.turn and not self.turn.complete:
            self.turn.asides.append(said)
            return
        if self.turn:  # from now on an interruption cuts this, and no longer the answer
            self.history, self.turn = [*self.history, *self.turn.history()], None
        self.history.append(said)

    async def escalate(self, reason_code: str, summary: str = "") -> bool:
        """Bring a human into the conversation. False when that is over, or the project has nobody to offer."""
        offer = self.offers.get("escalate") if self.line.open else None
        return await offer(reason_code, summary) if offer else False


_this_session: ContextVar[Session] = ContextVar("this_session")
working_for = _this_session.set


def this_session() -> Session:
    """The conversation that the running tool works for. Raises LookupError outside of one."""
    return _this_session.get()
