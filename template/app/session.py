"""One conversation in progress: what a tool may read of it and do to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_ai.messages import ModelMessage, ModelResponse, TextPart

from app.connection import Connection
from app.turn import Turn

Action = Callable[..., Awaitable[bool]]


@dataclass
class Session:
    """One conversation: `caller` began it, `called` is the agent's own number, both E.164. `id` is the CallSid, or in
    writing the id of Conversation Orchestrator; `now` is the project's clock (UTC).

    `state` is JSON and yours: capabilities keep theirs there under their own names. `guidance` is added to the model's
    instructions from the next turn on, `hearing` is a partial prompt. Every field up to `generation` moves with the
    call to another worker.
    """

    id: str
    caller: str
    called: str
    language: str
    now: Callable[[], datetime]
    connection: Connection = field(default_factory=Connection)
    parameters: Mapping[str, str] = field(default_factory=dict)
    greeting: str = ""
    history: list[ModelMessage] = field(default_factory=list)
    conversation_id: str | None = None
    profile_id: str | None = None
    state: dict[str, Any] = field(default_factory=dict)
    guidance: list[str] = field(default_factory=list)
    generation: int = 0  # how often the call was resumed
    hearing: str = ""
    turn: Turn | None = None
    ending: bool = False
    actions: dict[str, Action] = field(default_factory=dict)
    tools: Sequence[Callable[..., Any]] | None = None  # of the capabilities; None until the first turn

    async def say(self, text: str) -> None:
        """Say `text` at once, and keep it in the history."""
        await self.connection.say(text)
        said = ModelResponse([TextPart(text)])
        if self.turn and not self.turn.complete:
            self.turn.interjections.append(said)
            return
        if self.turn:  # from now on an interruption cuts this text, not the reply before it
            self.history, self.turn = [*self.history, *self.turn.history()], None
        self.history.append(said)

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        """End the call after the words of this turn. `handoff` reaches the `<Connect action>` route."""
        await self.connection.end(handoff)

    async def escalate(self, reason_code: str, summary: str = "") -> bool:
        """Transfer to a human. False when the conversation is over, or the project has no hand-off."""
        action = self.actions.get("escalate") if self.connection.open else None
        return await action(reason_code, summary) if action else False


_this_session: ContextVar[Session] = ContextVar("this_session")
set_session = _this_session.set


def this_session() -> Session:
    """The session that the running tool belongs to. Raises LookupError outside of a turn."""
    return _this_session.get()
