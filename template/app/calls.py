"""The calls in progress: who begins, drops, comes back and ends. A call that comes back may come back elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

import structlog
from pydantic_ai.messages import ModelMessagesTypeAdapter

from agent import words
from app.brain import Brain
from app.capability import Capability, each
from app.session import Line, Session
from app.speech import FIRST_LANGUAGE
from app.store import Store

log = structlog.get_logger()

GRACE = 30.0  # seconds that a dropped call may take to come back
LONGEST = 4 * 3600  # seconds: Twilio ends a call after four hours
FAREWELL = 10.0  # seconds that a capability may take when a call is over
OVER = "over"  # what the store says of a call that a replayed request must not open again
KEPT = ("caller", "called", "language", "greeting", "conversation_id", "profile_id", "state", "guidance")


class Refused(Exception):
    """This call is already being served, or is over."""


class Calls:
    """Knows every call of this process by its CallSid, and the others by the store."""

    def __init__(
        self, brain: Brain, capabilities: Sequence[Capability], store: Store, now: Callable[[], datetime]
    ) -> None:
        self.brain = brain
        self.capabilities = capabilities
        self.store = store
        self.now = now
        self.draining = False
        self._sessions: dict[str, Session] = {}
        self._served: dict[str, str] = {}  # which of the lines of a call is ours
        self._expiry: dict[str, asyncio.Task[None]] = {}
        self._saving: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> int:
        """How many calls have an open line."""
        return sum(session.line.open for session in self._sessions.values())

    def get(self, call_sid: str) -> Session | None:
        """A call that this process serves, or did until its line dropped."""
        return self._sessions.get(call_sid)

    async def find(self, call_sid: str) -> Session | None:
        """A call in progress, also one whose worker was another."""
        return self._sessions.get(call_sid) or self._thaw(call_sid, await self._stored(call_sid))

    async def start(
        self, call_sid: str, *, caller: str, called: str, line: Line, parameters: Mapping[str, str] | None = None
    ) -> Session:
        """Begin a call, or go on with one whose line dropped. Raises Refused for a call that is served or over."""
        stored = await self._stored(call_sid)
        if stored == OVER:
            raise Refused(f"{call_sid} is over")
        session = self._sessions.get(call_sid)
        if session and session.line.open:
            raise Refused(f"{call_sid} is being served")
        if timer := self._expiry.pop(call_sid, None):
            timer.cancel()
        if session is None or (stored and stored["served"] != self._served[call_sid]):
            session = self._thaw(call_sid, stored)  # as the worker that served it last has left it
        resumed = session is not None
        session = session or Session(
            call_sid, caller, called, language=FIRST_LANGUAGE, now=self.now, greeting=words.GREETING
        )
        session.line, session.parameters = line, parameters or {}
        self.brain.settle(session)  # whoever interrupts now interrupts the second greeting
        self._sessions[call_sid], self._served[call_sid] = session, uuid4().hex
        log.info("call.resumed" if resumed else "call.started", call=call_sid)
        await self._save(session)
        await each(self.capabilities, "on_resume" if resumed else "on_start", session)
        return session

    def reply(self, session: Session, text: str) -> AsyncGenerator[str]:
        """The words of one turn. What was said before it is kept meanwhile."""
        reply = self.brain.reply(session, text)
        self._in_background(self._save(session))
        return reply

    def dropped(self, session: Session) -> None:
        """The line is gone. The call is over unless it comes back in time."""
        session.line.open = False
        self.brain.stop(session)
        if self._sessions.get(session.id) is session:
            self._in_background(self._save(session))
            self._expiry[session.id] = asyncio.create_task(self._expire(session))

    async def _expire(self, session: Session) -> None:
        await asyncio.sleep(GRACE)
        del self._expiry[session.id]
        stored = await self._stored(session.id)
        if stored and stored != OVER and stored["served"] == self._served.get(session.id):
            await self.end(session.id)
        else:
            self._forget(session.id)

    async def end(self, call_sid: str) -> None:
        """The call is over: forget it, and let the capabilities do what they do afterwards."""
        session = await self.find(call_sid)
        if session is None or not await self.store.claim(f"ended:{call_sid}", LONGEST):
            self._forget(call_sid)
            return
        self._forget(call_sid)
        await self.store.put(f"call:{call_sid}", json.dumps(OVER), LONGEST)
        self.brain.settle(session)
        await each(self.capabilities, "on_end", session, within=FAREWELL)
        log.info("call.ended", call=call_sid)

    async def end_all(self) -> None:
        for call_sid in list(self._sessions):
            await self.end(call_sid)
        await asyncio.gather(*self._saving)

    def _forget(self, call_sid: str) -> None:
        self._sessions.pop(call_sid, None)
        self._served.pop(call_sid, None)
        if timer := self._expiry.pop(call_sid, None):
            timer.cancel()

    def _in_background(self, saving: Any) -> None:
        task = asyncio.create_task(saving)
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)

    async def _save(self, session: Session) -> None:
        served = self._served.get(session.id)
        if served is None:
            return
        kept = {name: getattr(session, name) for name in KEPT}
        history = [*session.history, *(session.turn.history() if session.turn else [])]
        kept["history"] = json.loads(ModelMessagesTypeAdapter.dump_json(history))
        await self.store.put(f"call:{session.id}", json.dumps({**kept, "served": served}), LONGEST)

    async def _stored(self, call_sid: str) -> Any:
        text = await self.store.get(f"call:{call_sid}")
        return json.loads(text) if text else None

    def _thaw(self, call_sid: str, stored: Any) -> Session | None:
        if stored is None or stored == OVER:
            return None
        session = Session(call_sid, now=self.now, **{name: stored[name] for name in KEPT})
        session.history = ModelMessagesTypeAdapter.validate_python(stored["history"])
        session.line.open = False
        return session
