"""The calls in progress: who begins, drops, comes back and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import structlog

from agent import words
from app.brain import Brain
from app.capability import Capability, each
from app.session import Line, Session
from app.speech import FIRST_LANGUAGE

log = structlog.get_logger()

GRACE = 30.0  # seconds that a dropped call may take to come back
REMEMBERED = 10_000  # ended calls that cannot be opened again by a replayed request


class Refused(Exception):
    """This call is already being served, or is over."""


class Calls:
    """Knows every call of this process by its CallSid."""

    def __init__(self, brain: Brain, capabilities: Sequence[Capability], now: Callable[[], datetime]) -> None:
        self.brain = brain
        self.capabilities = capabilities
        self.now = now
        self.draining = False
        self._sessions: dict[str, Session] = {}
        self._ended: dict[str, None] = {}
        self._expiry: dict[str, asyncio.Task[None]] = {}

    @property
    def active(self) -> int:
        """How many calls have an open line."""
        return sum(session.line.open for session in self._sessions.values())

    def get(self, call_sid: str) -> Session | None:
        return self._sessions.get(call_sid)

    async def start(
        self, call_sid: str, *, caller: str, called: str, line: Line, parameters: Mapping[str, str] | None = None
    ) -> Session:
        """Begin a call, or go on with one whose line dropped. Raises Refused for a call that is served or over."""
        if call_sid in self._ended:
            raise Refused(f"{call_sid} is over")
        if session := self._sessions.get(call_sid):
            if session.line.open:
                raise Refused(f"{call_sid} is being served")
            if timer := self._expiry.pop(call_sid, None):
                timer.cancel()
            session.line = line
            self.brain.settle(session)  # whoever interrupts now interrupts the second greeting
            log.info("call.resumed", call=call_sid)
            return session
        session = self._sessions[call_sid] = Session(
            call_sid,
            caller,
            called,
            language=FIRST_LANGUAGE,
            now=self.now,
            line=line,
            parameters=parameters or {},
            greeting=words.GREETING,
        )
        log.info("call.started", call=call_sid)
        await each(self.capabilities, "on_start", session)
        return session

    def dropped(self, session: Session) -> None:
        """The line is gone. The call is over unless it comes back in time."""
        session.line.open = False
        self.brain.stop(session)
        if session.call_sid in self._sessions:
            self._expiry[session.call_sid] = asyncio.create_task(self._expire(session.call_sid))

    async def _expire(self, call_sid: str) -> None:
        await asyncio.sleep(GRACE)
        del self._expiry[call_sid]
        await self.end(call_sid)

    async def end(self, call_sid: str) -> None:
        """The call is over: forget it, and let the capabilities do what they do afterwards."""
        session = self._sessions.pop(call_sid, None)
        if session is None:
            return
        if timer := self._expiry.pop(call_sid, None):
            timer.cancel()
        self._ended[call_sid] = None
        if len(self._ended) > REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self.brain.settle(session)
        await each(self.capabilities, "on_end", session)
        log.info("call.ended", call=call_sid)

    async def end_all(self) -> None:
        for call_sid in list(self._sessions):
            await self.end(call_sid)
