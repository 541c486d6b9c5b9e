"""Transfer: the operations of an escalation that differ between calls and conversations in writing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import APIRouter

from agent import handoff
from app.background import Background
from app.capability import Services
from app.escalation.state import Record, Records, State
from app.escalation.turns import cancel_model, is_in_turn, speak_in_turn
from app.session import Session
from app.settings import Settings

log = structlog.get_logger()

CONNECTING = 60  # seconds from a worker's acceptance until the worker is connected


class Transfer(ABC):
    """EnqueueTransfer for calls, FlexTransfer for conversations in writing; listed in app/features.py."""

    settings: type[Settings] = Settings
    spoken: bool

    def __init__(self, services: Services, records: Records) -> None:
        self.options = services.settings
        self.store = services.store
        self.records = records
        self.working = Background()

    def routes(self) -> APIRouter:
        """Webhooks of its own."""
        return APIRouter()

    @abstractmethod
    async def begun(self, session: Session) -> Record | None:
        """The escalation in progress, during which the agent does not answer."""

    @abstractmethod
    async def begin(self, session: Session, record: Record) -> bool:
        """Save a new escalation. False when another one has begun."""

    @abstractmethod
    async def keep(self, session: Session, record: Record) -> None:
        """Save the escalation in its new state."""

    @abstractmethod
    async def leave(self, session: Session, record: Record) -> None:
        """Move the conversation to TaskRouter after the text of this turn."""

    @abstractmethod
    async def again(self, session: Session, record: Record) -> None:
        """Handle a turn of the caller while an escalation is in progress."""

    async def is_with_human(self, session: Session) -> bool:
        """Whether a worker has the conversation although its messages still reach the agent."""
        return False

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        """TwiML that continues a call after ConversationRelay."""
        return None

    async def on_event(self, id: str, record: Record) -> None:  # noqa: B027 (optional)
        """Handle an event of TaskRouter. Any server may receive it, more than once."""

    @abstractmethod
    async def on_end(self, session: Session) -> None:
        """The conversation has ended."""

    async def close(self) -> None:  # noqa: B027 (optional)
        """The server stops."""

    async def hand_over(self, session: Session, record: Record) -> bool:
        """Tell the caller, move the conversation to TaskRouter and cancel the model, whose text would come too late."""
        if not session.connection.open:
            return False
        record.state = State.BRIEFING
        await self.keep(session, record)
        turn = session.turn if is_in_turn(session) else None
        try:
            await (speak_in_turn(session, turn, handoff.CONNECTING) if turn else session.say(handoff.CONNECTING))
        except Exception as error:  # the transfer goes on; the error's text may quote an address
            log.error("escalation.not_told", call=session.id, error=type(error).__name__)
        await self.leave(session, record)
        cancel_model(turn)
        return True


async def follow_up(call_sid: str, caller: str, record: Record | None, recording: str | None) -> None:
    """Call `follow_up` of agent/handoff.py: a person has to call back."""
    try:
        await handoff.follow_up(caller, record.payload.attributes() if record else {}, recording)
    except Exception:
        log.exception("handoff.follow_up_failed", call=call_sid)
