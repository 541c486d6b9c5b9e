"""Transfer: the operations of an escalation that differ between calls and text conversations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import APIRouter

from app.capability import Background, Services
from app.escalation.handoff import handoff
from app.escalation.record import Record, Records, State
from app.session import Session
from app.settings import Settings
from app.turn_end import cancel_model, is_in_turn, speak_in_turn

log = structlog.get_logger()

CONNECT_GRACE = 60  # seconds from a worker's acceptance until the worker is connected


class Transfer(ABC):
    """EnqueueTransfer for calls, FlexTransfer for text conversations; listed in app/features.py."""

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
    async def in_progress(self, session: Session) -> Record | None:
        """The escalation in progress, during which the agent does not answer."""

    @abstractmethod
    async def begin(self, session: Session, record: Record) -> bool:
        """Save a new escalation. False when another one is in progress."""

    @abstractmethod
    async def save(self, session: Session, record: Record) -> None:
        """Save the escalation in its new state."""

    @abstractmethod
    async def start_transfer(self, session: Session, record: Record) -> None:
        """Move the conversation to TaskRouter after the text of this turn."""

    @abstractmethod
    async def on_turn(self, session: Session, record: Record) -> None:
        """Handle a turn of the caller while an escalation is in progress."""

    async def is_with_human(self, session: Session) -> bool:
        """Whether a worker has the conversation although its messages still reach the agent."""
        return False

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        """TwiML that continues a call after ConversationRelay."""
        return None

    async def on_event(self, session_id: str, record: Record) -> None:  # noqa: B027 (optional)
        """Handle an event of TaskRouter. Any server process may receive it, more than once."""

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
        await self.save(session, record)
        turn = session.turn if is_in_turn(session) else None
        try:
            await (speak_in_turn(session, turn, handoff.CONNECTING) if turn else session.say(handoff.CONNECTING))
        except Exception as error:  # the transfer continues; the error's text may quote an address
            log.error("escalation.not_announced", call=session.id, error=type(error).__name__)
        await self.start_transfer(session, record)
        cancel_model(turn)
        return True


def customer_attributes(address: str) -> dict[str, str]:
    """Task attributes of the customer: what Flex shows its agents. None without an address."""
    return {"customerName": address, "customerAddress": address} if address else {}


async def follow_up(session_id: str, caller: str, record: Record | None, recording: str | None) -> None:
    """Call `follow_up` of agent/handoff.py: a human has to contact the caller, or to hear a voicemail."""
    try:
        await handoff.follow_up(caller, record.payload.attributes() if record else {}, recording)
    except Exception:
        log.exception("handoff.follow_up_failed", call=session_id)
