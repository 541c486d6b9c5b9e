"""The calls in progress: who begins, drops, comes back and ends. A call that comes back may come back elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import structlog

from agent import words
from app.background import Background
from app.brain import Brain
from app.capability import FAREWELL, Capability, each, equip
from app.frozen import OVER, freeze, thaw
from app.session import Line, Session
from app.speech import FIRST_LANGUAGE
from app.store import Store

log = structlog.get_logger()

GRACE = 30.0  # seconds that a dropped call may take to come back
LONGEST = 4 * 3600  # seconds: Twilio ends a call after four hours


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
        self._worker = uuid4().hex
        self._sessions: dict[str, Session] = {}
        self._expiry: dict[str, asyncio.Task[None]] = {}
        self._saving = Background()
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def active(self) -> int:
        """How many calls have an open line, and how many others wait for an answer."""
        lines = sum(session.line.open for session in self._sessions.values())
        return lines + sum(capability.busy for capability in self.capabilities)

    def get(self, call_sid: str) -> Session | None:
        """A call that this process serves, or did until its line dropped."""
        return self._sessions.get(call_sid)

    async def find(self, call_sid: str) -> Session | None:
        """A call in progress, as the worker that served it last has left it."""
        return self._latest(call_sid, await self._stored(call_sid))

    async def start(
        self, call_sid: str, *, caller: str, called: str, line: Line, parameters: Mapping[str, str] | None = None
    ) -> Session:
        """Begin a call, or go on with one whose line dropped. Raises Refused for a call that is served or over."""
        stored = await self._stored(call_sid)
        dropped = await self.store.get(f"dropped:{call_sid}")  # nothing is awaited between here and the new line
        if stored == OVER:
            raise Refused(f"{call_sid} is over")
        session = self._latest(call_sid, stored)
        if session and session.line.open and dropped is None:
            raise Refused(f"{call_sid} is being served")
        if timer := self._expiry.pop(call_sid, None):
            timer.cancel()
        resumed = session is not None
        session = session or Session(
            call_sid, caller, called, language=FIRST_LANGUAGE, now=self.now, greeting=words.GREETING
        )
        session.line, session.parameters = line, parameters or session.parameters
        self.brain.settle(session)  # whoever interrupts now interrupts the second greeting
        self._sessions[call_sid] = session
        log.info("call.resumed" if resumed else "call.started", call=call_sid)
        self.brain.runtime.begin(session)
        await self._write(session)
        await equip(session, self.capabilities)
        await each(self.capabilities, "on_resume" if resumed else "on_start", session)
        return session

    def reply(self, session: Session, text: str) -> AsyncGenerator[str]:
        """The words of one turn. What was said is kept before it and after it."""
        reply = self.brain.reply(session, text)
        self._saving.start(self._save(session))
        return self._kept(session, reply)

    async def _kept(self, session: Session, reply: AsyncGenerator[str]) -> AsyncGenerator[str]:
        try:
            async with aclosing(reply):
                async for token in reply:
                    yield token
        finally:
            self._saving.start(self._save(session))

    async def lost(self, session: Session) -> None:
        """Twilio says that the line has dropped. Whoever serves it may not have noticed, here or on another worker."""
        session.line.open = False
        if self._sessions.get(session.id) is not session:
            await self.store.put(f"dropped:{session.id}", "", GRACE)

    def dropped(self, session: Session) -> None:
        """The line is gone. The call is over unless it comes back in time."""
        session.line.open = False
        self.brain.stop(session)
        if self._sessions.get(session.id) is session:
            self._saving.start(self._save(session))
            self._expiry[session.id] = asyncio.create_task(self._expire(session))

    async def _expire(self, session: Session) -> None:
        await asyncio.sleep(GRACE)
        taken = await self._taken(session.id)
        del self._expiry[session.id]  # a call that came back until now has cancelled this
        self._forget(session.id) if taken else await self.end(session.id)

    async def end(self, call_sid: str) -> None:
        """The call is over: forget it, and let the capabilities do what they do afterwards."""
        session = await self.find(call_sid)
        if session is None or not await self.store.claim(f"ended:{call_sid}", LONGEST):
            self._forget(call_sid)
            return
        await asyncio.gather(*self._saving)  # the last word is that it is over
        self._forget(call_sid)
        await self.store.put(f"session:{call_sid}", json.dumps(OVER), LONGEST)
        self.brain.settle(session)
        await equip(session, self.capabilities)
        await each(self.capabilities, "on_end", session, within=FAREWELL)
        log.info("call.ended", call=call_sid)

    async def end_all(self) -> None:
        """The server stops. A call that drops with it may come back on another worker, if there are others."""
        for call_sid in list(self._sessions):
            timer = self._expiry.get(call_sid)
            if await self._taken(call_sid):
                self._forget(call_sid)
            elif timer and self.store.shared:
                await asyncio.wait([timer])
            else:
                await self.end(call_sid)
        await asyncio.gather(*self._saving)

    def _forget(self, call_sid: str) -> None:
        self._sessions.pop(call_sid, None)
        self.brain.runtime.end(call_sid)
        if timer := self._expiry.pop(call_sid, None):
            timer.cancel()

    async def _save(self, session: Session) -> None:
        """Keep a call, unless another worker has taken it meanwhile or it is over."""
        if not await self._taken(session.id) and self._sessions.get(session.id) is session:
            await self._write(session)

    async def _write(self, session: Session) -> None:
        async with self._writing.setdefault(session.id, asyncio.Lock()):  # a slow store must not turn the order round
            kept = json.dumps({**freeze(session), "worker": self._worker})
            await self.store.put(f"session:{session.id}", kept, LONGEST)

    async def _taken(self, call_sid: str) -> bool:
        """Whether another worker serves the call, or has ended it."""
        stored = await self._stored(call_sid)
        return stored == OVER or bool(stored and stored["worker"] != self._worker)

    async def _stored(self, call_sid: str) -> Any:
        text = await self.store.get(f"session:{call_sid}")
        return json.loads(text) if text else None

    def _latest(self, call_sid: str, stored: Any) -> Session | None:
        """Our own session, or one made of what another worker has stored since."""
        if stored == OVER:
            return None
        session = self._sessions.get(call_sid)
        if stored is None or (session and stored["worker"] == self._worker):
            return session
        return thaw(call_sid, stored, self.now)
