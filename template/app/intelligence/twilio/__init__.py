"""Each result of a Conversation Intelligence v3 operator becomes a signal.

Twilio sends the results to a webhook. The worker that receives it may not be the worker that serves the call: a mailbox
in the store is between them.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field, ValidationError

from app.capability import Background, Services, attach
from app.channel import signed_body
from app.intelligence import Intelligence, IntelligenceSettings
from app.intelligence.reactions import record_of, session_of
from app.intelligence.twilio.payload import Execution, Result, invalid_fields, parse, signal_of, token_of
from app.session import Session
from app.signals import SIGNALS
from app.store import Store

log = structlog.get_logger()

DAY = 24 * 3600  # seconds
SIGNAL_TTL = 4 * 3600.0  # seconds that a signal may wait
LISTENER_TTL = 45.0  # seconds after the last `listen`; longer than a call may be disconnected


class TwilioIntelligenceSettings(IntelligenceSettings):
    intelligence_configuration_id: str = Field(
        alias="TWILIO_INTELLIGENCE_CONFIGURATION_ID",
        pattern="^intelligence_configuration_[0-9a-z]{26}$",
        examples=["intelligence_configuration_" + "0" * 26],
        description="Copy the id of your intelligence configuration (intelligence_configuration_ and 26 characters).",
    )
    operator_count: int = Field(  # for `agent setup`, which writes it into the rules
        3,
        alias="AGENT_OPERATOR_COUNT",
        ge=1,
        le=20,
        description="Write after how many communications an operator runs, 1 to 20.",
    )


class TwilioIntelligence(Intelligence):
    """Times are in seconds. Tests override them."""

    settings = TwilioIntelligenceSettings
    listen_interval = 5.0  # after which a listener refreshes its flag
    listen_after_end = 120.0  # for the summary, which comes after the end
    shutdown_timeout = 1.5  # for reactions in progress when the server stops

    def __init__(self, services: Services, reactions: Any) -> None:
        super().__init__(services, reactions)
        settings: TwilioIntelligenceSettings = services.settings
        self.configuration_id = settings.intelligence_configuration_id
        self.mailbox = Mailbox(services.store)
        self._body = signed_body(settings)
        self._receiving = Background()
        self._listeners: dict[str, tuple[Session, asyncio.Task[None]]] = {}
        self._stop_listening_at: dict[str, float] = {}  # for ended sessions, by time.monotonic()
        self._closing = False

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/webhooks/intelligence", self.webhook, methods=["POST"])
        return router

    async def webhook(self, request: Request) -> Response:
        """Responds 200 before the payload is parsed, since Twilio would send an invalid one again."""
        body = await self._body(request)
        self._receiving.start(self._receive(body, request.headers.get("i-twilio-idempotency-token")))
        return Response()

    async def close(self) -> None:
        self._closing = True
        for id in list(self._listeners):
            await self.mailbox.deliver(id, "")  # wakes the listener
        tasks = [*self._receiving, *(task for _, task in self._listeners.values())]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self.shutdown_timeout)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def on_start(self, session: Session) -> None:
        if session.connection.spoken:  # no worker serves a text conversation between two messages
            self._listen(session)

    async def on_resume(self, session: Session) -> None:
        await self.on_start(session)

    async def on_end(self, session: Session) -> None:
        """Save the session and continue to listen: the summary comes after the end."""
        await self.save_ended(session)
        self._stop_listening_at[session.id] = time.monotonic() + self.listen_after_end
        self._listen(session)

    # --- webhook → mailbox -------------------------------------------------------------------------------------

    async def _receive(self, body: Mapping[str, Any], token: str | None) -> None:
        try:
            execution, results = parse(body)
        except ValidationError as errors:
            log.error("signals.unreadable", fields=invalid_fields(errors))
            self.services.count("signal", kind="unknown", outcome="unreadable")
            return
        ids = [result.id or "" for result in results]
        try:
            ignored = await self._route(execution, results, token or token_of(ids))
        except Exception:
            log.exception("signals.failed")
            self.services.count("signal", kind="unknown", outcome="failed")
            ignored = "failed"
        if ignored:
            log.info("signals.ignored", reason=ignored, count=len(ids))
            self.finished.extend((id, ignored) for id in ids)

    async def _route(self, execution: Execution, results: list[Result], token: str) -> str:
        """Deliver the results to the mailbox of their session. Returns why they were ignored, or an empty text."""
        if execution.intelligence_configuration.id != self.configuration_id:
            return "another configuration"
        id = await self._session_id(execution, results)
        if id is None:
            return "another conversation"
        if token and not await self.store.claim(f"signals-seen:{token}", DAY):
            return "seen before"
        for signal in map(signal_of, results):
            self.services.count("signal", kind=signal.kind, outcome="received")
            await self.mailbox.deliver(id, SIGNALS.dump_json(signal).decode())
        if not await self.mailbox.has_listener(id):
            await self._drain(await self._load_session(id))
        return ""

    async def _session_id(self, execution: Execution, results: list[Result]) -> str | None:
        """The id of a session, by conversation id or by a CallSid among the reference ids. None for another agent's."""
        if execution.conversation_id and (id := await self.store.get(f"conversation:{execution.conversation_id}")):
            return id
        for reference in {str(id) for result in results for id in result.reference_ids or []}:
            if await self.services.sessions.owner(reference) is not None:
                return reference
        return None

    # --- mailbox → reaction ------------------------------------------------------------------------------------

    def _listen(self, session: Session) -> None:
        current, task = self._listeners.get(session.id, (None, None))
        if current is session and task and not task.done():
            return
        self._listeners[session.id] = (session, asyncio.create_task(self._listen_loop(session)))

    def _is_listening(self, session: Session) -> bool:
        until = self._stop_listening_at.get(session.id)
        return not self._closing and (session.connection.open if until is None else time.monotonic() < until)

    async def _listen_loop(self, session: Session) -> None:
        """React while the connection is open, and for some time after the end. A signal that comes while the call is
        disconnected goes back into the mailbox, for the worker that resumes the call."""
        try:
            while self._is_listening(session):
                await self.mailbox.listen(session.id)
                text = await self.mailbox.take(session.id, self.listen_interval)
                if text and not (self._is_listening(session) or session.id in self._stop_listening_at):
                    await self.mailbox.deliver(session.id, text)
                elif text:
                    await self._react(text, session)
            if session.id in self._stop_listening_at:
                await self.mailbox.leave(session.id)
                await self._drain(session)
        finally:
            if self._listeners.get(session.id, (None,))[0] is session:
                del self._listeners[session.id]
                self._stop_listening_at.pop(session.id, None)

    async def _drain(self, session: Session) -> None:
        """React to every signal in the mailbox of a session that no worker serves."""
        while (text := await self.mailbox.take(session.id, 0)) is not None:
            if text:
                await self._react(text, session)

    async def _react(self, text: str, session: Session) -> None:
        try:
            await self.react(SIGNALS.validate_json(text), session)
        except Exception:
            log.exception("signals.failed", session=session.id)

    # --- sessions that no worker serves ------------------------------------------------------------------------

    async def save_ended(self, session: Session) -> None:
        """Any worker may receive the next signal."""
        await self.store.put(f"after:{session.id}", json.dumps(record_of(session)), DAY)

    async def _load_session(self, id: str) -> Session:
        """A session that has ended, is between two messages, or was served by a worker that has died."""
        saved = await self.services.sessions.load(id)
        session = saved if isinstance(saved, Session) else session_of({"id": id}, self.now)
        await attach(session, self.services)
        after = None if session.connection.open else await self.store.get(f"after:{id}")
        return await self.restore_session(json.loads(after)) if after else session


class Mailbox:
    """A mailbox for each session: the worker that receives a signal delivers it, the worker of the call takes it.

    One worker only takes each signal. No signal stays behind: a worker that delivers checks for a listener afterwards,
    and a worker that stops listening drains the mailbox afterwards.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    async def deliver(self, session_id: str, text: str) -> None:
        await self.store.push(f"signals:{session_id}", text, SIGNAL_TTL)

    async def take(self, session_id: str, wait: float) -> str | None:
        """The oldest signal, or None when none comes within `wait` seconds."""
        return await self.store.pop(f"signals:{session_id}", wait)

    async def listen(self, session_id: str) -> None:
        """Refresh the listener flag: a worker takes the signals of this session."""
        await self.store.put(f"listening:{session_id}", "yes", LISTENER_TTL)

    async def leave(self, session_id: str) -> None:
        await self.store.put(f"listening:{session_id}", "no", LISTENER_TTL)

    async def has_listener(self, session_id: str) -> bool:
        return await self.store.get(f"listening:{session_id}") == "yes"
