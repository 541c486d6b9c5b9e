"""Level 3: each result of a Conversation Intelligence v3 operator becomes a signal for `agent/reactions.py`.

Twilio sends the results to a webhook. The worker that receives it may not be the worker that serves the call: a mailbox
in the store is between them.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import httpx2
import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field, ValidationError

from app.capability import Background, Capability, Services, attach
from app.channel import signed_body
from app.connection import NotSupported
from app.intelligence.payload import Execution, Result, invalid_fields, parse, signal_of, token_of
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
from app.store import Store

log = structlog.get_logger()

DAY = 24 * 3600  # seconds
SIGNAL_TTL = 4 * 3600.0  # seconds that a signal may wait
LISTENER_TTL = 45.0  # seconds after the last `listen`; longer than a call may be disconnected


class IntelligenceSettings(Settings):
    intelligence_configuration_id: str = Field(
        alias="TWILIO_INTELLIGENCE_CONFIGURATION_ID",
        pattern="^intelligence_configuration_[0-9a-z]{26}$",
        examples=["intelligence_configuration_" + "0" * 26],
        description="Copy the id of your intelligence configuration (intelligence_configuration_ and 26 characters).",
    )
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
    """`finished` holds the ids of the last results that this worker has handled, each with its outcome.

    Times are in seconds. Tests override them.
    """

    settings = IntelligenceSettings
    listen_interval = 5.0  # after which a listener refreshes its flag
    listen_after_end = 120.0  # for the summary, which comes after the end
    reaction_timeout = REACTION_TIMEOUT
    shutdown_timeout = 1.5  # for reactions in progress when the server stops

    def __init__(self, services: Services, reactions: Any) -> None:
        settings: IntelligenceSettings = services.settings
        self.services = services
        self.configuration_id = settings.intelligence_configuration_id
        self.alert_url = settings.alert_url
        self.store = services.store
        self.now = services.now
        self.mailbox = Mailbox(services.store)
        self.failed = FailedSignals(settings.failed_signals)
        self.reactions = Reactions(reactions, self.failed, self.reaction_timeout)
        self.finished: deque[tuple[str, str]] = deque(maxlen=1000)
        self._body = signed_body(settings)
        self._receiving = Background()
        self._listeners: dict[str, tuple[Session, asyncio.Task[None]]] = {}
        self._stop_listening_at: dict[str, float] = {}  # for ended sessions, by time.monotonic()
        self._closing = False

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services, own_reactions)

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/webhooks/intelligence", self.webhook, methods=["POST"])
        return router

    async def webhook(self, request: Request) -> Response:
        """Responds 200 before the payload is parsed, since Twilio would send an invalid one again."""
        body = await self._body(request)
        self._receiving.start(self._receive(body, request.headers.get("i-twilio-idempotency-token")))
        return Response()

    async def open(self) -> None:
        try:
            self.failed.check_writable()
        except OSError as error:
            log.error("failed_signals.not_writable", error=type(error).__name__, hint=CANNOT_WRITE)

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
        await self._save_ended(session)
        self._stop_listening_at[session.id] = time.monotonic() + self.listen_after_end
        self._listen(session)

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

    # --- webhook → mailbox -------------------------------------------------------------------------------------

    async def _receive(self, body: Mapping[str, Any], token: str | None) -> None:
        try:
            execution, results = parse(body)
        except ValidationError as errors:
            log.error("signals.unreadable", fields=invalid_fields(errors))
            return
        ids = [result.id or "" for result in results]
        try:
            ignored = await self._route(execution, results, token or token_of(ids))
        except Exception:
            log.exception("signals.failed")
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
        for result in results:
            await self.mailbox.deliver(id, SIGNALS.dump_json(signal_of(result)).decode())
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
            signal: AnySignal = SIGNALS.validate_json(text)
            before = record_of(session)
            error = await self.reactions.react(signal, session)
            await self._save_changes(session, before)
            self.finished.append((signal.id, "failed" if error else "handled"))
        except Exception:
            log.exception("signals.failed", session=session.id)

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
            await self._save_ended(session)
        if not session.connection.open:
            await self._save_ended(session)

    # --- sessions that no worker serves ------------------------------------------------------------------------

    async def _save_ended(self, session: Session) -> None:
        await self.store.put(f"after:{session.id}", json.dumps(record_of(session)), DAY)

    async def replay(self, line: Mapping[str, Any]) -> str | None:
        """React to a line of `FailedSignals`. Returns the type of the error when that fails again, or None."""
        return await self.reactions.react(
            SIGNALS.validate_python(line["signal"]), await self._restore_session(line["session"])
        )

    async def _load_session(self, id: str) -> Session:
        """A session that has ended, is between two messages, or was served by a worker that has died."""
        saved = await self.services.sessions.load(id)
        session = saved if isinstance(saved, Session) else session_of({"id": id}, self.now)
        await attach(session, self.services)
        after = None if session.connection.open else await self.store.get(f"after:{id}")
        return await self._restore_session(json.loads(after)) if after else session

    async def _restore_session(self, record: Mapping[str, Any]) -> Session:
        session = session_of(record, self.now)
        await attach(session, self.services)
        return session


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
