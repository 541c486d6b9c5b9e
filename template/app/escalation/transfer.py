"""How a conversation leaves the agent for a human, and what becomes of it: all in which calls and writing differ."""

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

CONNECTING = 60  # seconds that a human who has accepted may take to be there


class Transfer(ABC):
    """One for calls, one for conversations in writing. chosen.py says which of them a project has."""

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
        """The escalation because of which the agent has nothing more to say, or soon will not."""

    @abstractmethod
    async def begin(self, session: Session, record: Record) -> bool:
        """Keep a new escalation. False when somebody else was quicker."""

    @abstractmethod
    async def keep(self, session: Session, record: Record) -> None:
        """Keep what has become of it."""

    @abstractmethod
    async def leave(self, session: Session, record: Record) -> None:
        """The agent's part is over, once the words of this turn have been said."""

    @abstractmethod
    async def again(self, session: Session, record: Record) -> None:
        """The caller says something more, in a turn of the agent's."""

    async def taken(self, session: Session) -> bool:
        """Whether a human has the conversation while it comes to the agent still."""
        return False

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        """TwiML that takes a call further."""
        return None

    async def on_event(self, id: str, record: Record) -> None:  # noqa: B027 (optional)
        """An event of TaskRouter has come. Whichever worker receives it, and more than once."""

    @abstractmethod
    async def on_end(self, session: Session) -> None:
        """The conversation is over."""

    async def close(self) -> None:  # noqa: B027 (optional)
        """The server stops."""

    async def hand_over(self, session: Session, record: Record) -> bool:
        """The words, then the end of the agent's part. The model is asked no more: its words would come too late."""
        if not session.connection.open:
            return False
        record.state = State.BRIEFING
        await self.keep(session, record)
        turn = session.turn if is_in_turn(session) else None
        try:
            await (speak_in_turn(session, turn, handoff.CONNECTING) if turn else session.say(handoff.CONNECTING))
        except Exception as error:  # a human can come all the same; the error's text may quote an address
            log.error("escalation.not_told", call=session.id, error=type(error).__name__)
        await self.leave(session, record)
        cancel_model(turn)
        return True


async def follow_up(call_sid: str, caller: str, record: Record | None, recording: str | None) -> None:
    """Tell agent/handoff.py that somebody must call back."""
    try:
        await handoff.follow_up(caller, record.payload.attributes() if record else {}, recording)
    except Exception:
        log.exception("handoff.follow_up_failed", call=call_sid)
