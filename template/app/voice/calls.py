"""Calls in progress. A call that disconnects may come back within `Timeouts.reconnect`, here or on another worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import structlog

import app.voice.call_token as call_token
from app import config
from app.brain import Brain
from app.capability import Background, Capability, FollowsSpeech, Services, attach, run_hooks, with_added_words
from app.connection import NO_NUMBER, Connection, has_number
from app.limits import bill
from app.session import ENDED, Ended, Session
from app.voice.phrases import phrases

log = structlog.get_logger()

MAX_CALL_DURATION = 4 * 3600  # seconds; Twilio ends a call after four hours
MAX_DETOUR = 15 * 60.0  # seconds that a call may be away before it ends


class CallRefused(Exception):
    """This call is already being served, or it is over."""


@dataclass(eq=False)
class Call:
    """A call that this worker serves, or did until it disconnected."""

    session: Session
    expiry: asyncio.Task[None] | None = None  # ends the call unless it is resumed

    def cancel_expiry(self) -> None:
        if self.expiry:
            self.expiry.cancel()
            self.expiry = None


class Calls:
    """Knows the calls of this worker by CallSid, and those of other workers from the store.

    `end` (the call is over) runs `on_end`, once over all workers. `expire` (the call did not come back) and `end_all`
    (the server stops) call `end`, or only `_forget` when another worker serves or has ended the call. `_forget` drops
    the call from this worker and runs no hook.
    """

    def __init__(self, brain: Brain, services: Services) -> None:
        self.brain = brain
        self.services = services
        self.store = services.store
        self.sessions = services.sessions
        self._calls: dict[str, Call] = {}
        self.expected: dict[str, float] = {}  # calls with TwiML and without a connection; when it was made
        self._saving = Background()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @property
    def active(self) -> int:
        """How many calls have an open connection."""
        return sum(call.session.connection.open for call in self._calls.values())

    def get(self, call_sid: str) -> Session | None:
        """The session of a call that this worker serves, or did until it disconnected."""
        call = self._calls.get(call_sid)
        return call.session if call else None

    async def find(self, call_sid: str) -> Session | None:
        """The session of a call in progress, as the worker that served it last has saved it."""
        latest = await self._latest(call_sid)
        return None if latest is ENDED else latest

    def token(self, call_sid: str) -> str:
        """The token that the TwiML of a call carries."""
        now = asyncio.get_running_loop().time()
        began = now - self.services.timeouts.reconnect
        self.expected = {sid: at for sid, at in {**self.expected, call_sid: now}.items() if at > began}
        return call_token.issue(self.services.settings, call_sid, self.services.now())

    async def admit(self, call_sid: str, parameters: Any) -> dict[str, str]:
        """The parameters of a setup as texts, without the token: what is no text is JSON.

        Raises CallRefused when it is not the token of this call.
        """
        given = parameters if isinstance(parameters, dict) else {}
        own = {name: as_text(value) for name, value in given.items() if value is not None}
        token = own.pop(call_token.PARAMETER, "")
        try:
            age = call_token.age(self.services.settings, call_sid, token, self.services.now())
        except ValueError as error:
            raise CallRefused(str(error)) from None
        if age > call_token.FIRST_SETUP and await self.find(call_sid) is None:
            raise CallRefused(f"the token of {call_sid} has expired")
        return own

    async def start(
        self,
        call_sid: str,
        *,
        caller: str,
        called: str,
        connection: Connection,
        parameters: Mapping[str, str] | None = None,
    ) -> Session:
        """Open a call, or resume one that disconnected. Raises CallRefused for a call that is served or over."""
        session = await self._latest(call_sid)
        dropped = await self.store.get(f"dropped:{call_sid}")
        # No await until the session has its connection, or two reconnects both succeed.
        if session is ENDED:
            raise CallRefused(f"{call_sid} is over")
        if session and session.connection.open and dropped is None:
            raise CallRefused(f"{call_sid} is being served")
        if call := self._calls.pop(call_sid, None):
            call.cancel_expiry()
        self.expected.pop(call_sid, None)
        resumed = session is not None
        session = session or self._new_session(call_sid, caller, called)
        session.generation += resumed
        self._calls[call_sid] = Call(session)
        session.connection, session.parameters = connection, parameters or session.parameters
        connection.instructions = "" if has_number(session.caller) else NO_NUMBER
        session.tools = None
        self.brain.commit_turn(session)  # an interruption from now on refers to the RECONNECTED greeting
        log.info("call.resumed" if resumed else "call.started", call=call_sid)
        self.services.count("call", outcome="resumed" if resumed else "started")
        self.brain.runtime.on_connect(session)
        await self._write(session)
        await attach(session, self.services)
        await self._run(Capability.on_resume if resumed else Capability.on_start, session)
        return session

    def _new_session(self, call_sid: str, caller: str, called: str) -> Session:
        language, now = config.FIRST_LANGUAGE, self.services.now
        greeting = with_added_words(phrases.GREETING, self.services.capabilities)
        return Session(call_sid, caller, called, language=language, now=now, greeting=greeting)

    def reply(self, session: Session, text: str) -> AsyncGenerator[str]:
        """The tokens of one turn. The session is saved after it, if other workers read the store."""
        reply = self.brain.reply(session, text)
        return self._saved_after(session, reply) if self.store.shared else reply

    async def _saved_after(self, session: Session, reply: AsyncGenerator[str]) -> AsyncGenerator[str]:
        try:
            async with aclosing(reply):
                async for token in reply:
                    yield token
        finally:
            self._start_saving(session)

    def _start_saving(self, session: Session) -> None:
        if self.store.shared:
            self._saving.start(self._save(session))

    async def on_heard(self, session: Session, text: str, interrupted: bool) -> None:
        """The caller has heard `text`: words that Twilio has played, or what came before an interruption."""
        if interrupted:
            self.brain.interrupted(session, text)
            self._start_saving(session)
        following = [capability for capability in self.services.capabilities if isinstance(capability, FollowsSpeech)]
        await run_hooks(
            following, FollowsSpeech.on_heard, session, text, interrupted, timeout=self.services.timeouts.hook
        )

    async def mark_dropped(self, session: Session) -> None:
        """Mark the call resumable before its worker, here or elsewhere, notices the disconnect."""
        session.connection.open = False
        if self.get(session.id) is not session:
            await self.store.put(f"dropped:{session.id}", "", self.services.timeouts.reconnect)

    async def send_away(self, session: Session) -> None:
        """The call leaves the agent, and comes back within MAX_DETOUR, here or to another worker."""
        await self.store.put(f"away:{session.id}", "", MAX_DETOUR)
        await self.mark_dropped(session)

    def on_disconnect(self, session: Session) -> None:
        """The WebSocket is closed. The call ends unless it comes back in time."""
        session.connection.open = False
        if session.turn and not (session.turn.complete or session.turn.stopped):
            self.services.count("turn_lost", channel="voice", reason="disconnected")
        self.brain.cancel_model(session)
        call = self._calls.get(session.id)
        if call and call.session is session:
            self._start_saving(session)
            call.expiry = asyncio.create_task(self._expire_later(call))

    async def _expire_later(self, call: Call) -> None:
        await asyncio.sleep(self.services.timeouts.reconnect)
        while await self.store.get(f"away:{call.session.id}") is not None:
            await asyncio.sleep(self.services.timeouts.reconnect)
        await self.expire(call)

    async def expire(self, call: Call) -> None:
        """The call has not come back to this worker in time: end it, unless another worker has it."""
        id = call.session.id
        elsewhere = await self._has_moved_or_ended(id)
        call.expiry = None  # if the call had resumed, this task would have been cancelled
        if elsewhere:
            self._forget(id)
        else:
            await self.end(id)

    async def end(self, call_sid: str) -> None:
        """The call is over: forget it and run `on_end` of the capabilities, once over all workers."""
        session = await self.find(call_sid)
        if session is None or not await self.store.claim(f"ended:{call_sid}", MAX_CALL_DURATION):
            self._forget(call_sid)
            return
        await self._saves_end()  # no later save may overwrite the end
        self._forget(call_sid)
        await self.sessions.end(call_sid, MAX_CALL_DURATION)
        self.brain.commit_turn(session)
        await attach(session, self.services)
        await self._run(Capability.on_end, session, self.services.timeouts.shutdown)
        log.info("call.ended", call=call_sid, **await bill(session.usage))

    async def end_all(self) -> None:
        """The server stops. A disconnected call comes back, or ends, on another worker, if there are others."""
        await self._saves_end()
        for call_sid, call in list(self._calls.items()):
            left = call.expiry and self.store.shared and not self.store.down
            if left or await self._has_moved_or_ended(call_sid):
                self._forget(call_sid)
            else:
                await self.end(call_sid)
        await self._saves_end()

    async def _saves_end(self) -> None:
        await asyncio.gather(*self._saving, return_exceptions=True)

    def _forget(self, call_sid: str) -> None:
        call = self._calls.pop(call_sid, None)
        self.brain.runtime.on_end(call_sid)
        if call:
            call.cancel_expiry()

    async def _run(self, hook: Callable[..., Any], session: Session, timeout: float | None = None) -> None:
        timeout = self.services.timeouts.hook if timeout is None else timeout
        await run_hooks(self.services.capabilities, hook, session, timeout=timeout)

    async def _save(self, session: Session) -> None:
        """Save the session, unless another worker has it meanwhile or it is over."""
        if not await self._has_moved_or_ended(session.id) and self.get(session.id) is session:
            await self._write(session)

    async def _write(self, session: Session) -> None:
        async with self._locks.setdefault(session.id, asyncio.Lock()):  # keep saves in order
            await self.sessions.save(session, MAX_CALL_DURATION)

    async def _has_moved_or_ended(self, call_sid: str) -> bool:
        """True when another worker serves the call, or has ended it."""
        owner = await self.sessions.owner(call_sid)
        return owner is ENDED or bool(owner and owner != self.sessions.worker)

    async def _latest(self, call_sid: str) -> Session | Ended | None:
        """Our own session, or the one that another worker has saved since."""
        own, owner = self.get(call_sid), await self.sessions.owner(call_sid)
        if owner is None or (own and owner == self.sessions.worker):
            return own
        return await self.sessions.load(call_sid)


def as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
