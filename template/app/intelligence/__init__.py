"""Level 3: what is found out about a conversation becomes a signal for `agent/reactions.py`.

`app.intelligence.twilio` has the operators of Conversation Intelligence, `app.intelligence.local` evaluators in this
process. A project has one of the two.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx2
import structlog
from pydantic import Field

from app.capability import Capability, Services, attach
from app.connection import NotSupported
from app.intelligence.reactions import (
    CANNOT_WRITE,
    REACTION_TIMEOUT,
    FailedSignals,
    Reactions,
    own_reactions,
    record_of,
    session_of,
)
from app.session import Action, Session
from app.settings import Settings
from app.signals import SIGNALS, AnySignal

log = structlog.get_logger()


class IntelligenceSettings(Settings):
    alert_url: str | None = Field(
        None,
        alias="AGENT_ALERT_URL",
        pattern=r"^https?://[^\s/?#]+[^\s#]*$",
        description="Write the address that alerts are sent to, or leave it out: alerts go to the log.",
    )
    failed_signals: Path = Field(
        Path("failed-signals.jsonl"),
        alias="AGENT_FAILED_SIGNALS",
        examples=[os.devnull],  # simulated signals must not be replayed in production
        description="Write the name of a file that the server may write.",
    )


class Intelligence(Capability):
    """Runs the reaction to each signal, and saves what it changes. A subclass makes the signals.

    `finished` holds the ids of the last signals that this worker has handled, each with its outcome.
    `reaction_timeout` is in seconds. Tests override it.
    """

    settings: type[Settings] = IntelligenceSettings
    reaction_timeout = REACTION_TIMEOUT

    def __init__(self, services: Services, reactions: Any) -> None:
        settings: IntelligenceSettings = services.settings
        self.services = services
        self.alert_url = settings.alert_url
        self.store = services.store
        self.now = services.now
        self.failed = FailedSignals(settings.failed_signals)
        self.reactions = Reactions(reactions, self.failed, self.reaction_timeout)
        self.finished: deque[tuple[str, str]] = deque(maxlen=1000)

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services, own_reactions)

    async def open(self) -> None:
        try:
            self.failed.check_writable()
        except OSError as error:
            log.error("failed_signals.not_writable", error=type(error).__name__, hint=CANNOT_WRITE)

    def actions(self, session: Session) -> Mapping[str, Action]:
        return {"alert": self._alert}

    async def _alert(self, session: Session, reason: str) -> bool:
        if self.alert_url is None:
            return False
        body = {"reason": reason, "id": session.id, "conversationId": session.conversation_id}
        async with httpx2.AsyncClient(timeout=5.0) as http:
            response = await http.post(self.alert_url, json={**body, "at": session.now().isoformat()})
        response.raise_for_status()
        return True

    async def react(self, signal: AnySignal, session: Session) -> None:
        """Run the reaction, and save what it changes. A reaction that fails is kept, not raised."""
        before = record_of(session)
        error = await self.reactions.react(signal, session)
        await self._save_changes(session, before)
        self.finished.append((signal.id, "failed" if error else "handled"))
        outcome = "failed" if error else "acted" if self.reactions.of(signal.kind) else "ignored"
        self.services.count("signal", kind=signal.kind, outcome=outcome)

    async def _save_changes(self, session: Session, before: Mapping[str, Any]) -> None:
        """Save the state and guidance that a reaction has changed. A call in progress is saved by its channel."""
        if session.connection.open and session.connection.spoken:
            return
        after = record_of(session)
        state = {name: value for name, value in after["state"].items() if before["state"].get(name) != value}
        guidance = after["guidance"] if after["guidance"] != before["guidance"] else None
        try:
            if session.connection.open and (state or guidance is not None):
                await session.connection.update_state(state, guidance)
        except NotSupported:  # the conversation has ended since
            await self.save_ended(session)
        if not session.connection.open:
            await self.save_ended(session)

    async def save_ended(self, session: Session) -> None:
        """Keep an ended session for signals that come later, if the subclass has such."""

    async def replay(self, line: Mapping[str, Any]) -> str | None:
        """React to a line of `FailedSignals`. Returns the type of the error when that fails again, or None."""
        return await self.reactions.react(
            SIGNALS.validate_python(line["signal"]), await self.restore_session(line["session"])
        )

    async def restore_session(self, record: Mapping[str, Any]) -> Session:
        session = session_of(record, self.now)
        await attach(session, self.services)
        return session
