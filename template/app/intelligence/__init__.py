"""Level 3: what Twilio notices while people talk becomes a typed signal, and `agent/reactions.py` reacts to it.

Conversation Intelligence v3 sends what its operators found to a webhook. The worker that receives it may be another
than the one that serves the conversation: a mailbox in the store is between them.
"""

from __future__ import annotations

import asyncio
import hashlib
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

from agent import reactions as own_reactions
from app.background import Background
from app.capability import Capability, Services, attach
from app.connection import NotSupported
from app.intelligence.mailbox import Mailbox
from app.intelligence.payload import Execution, Result, signal_of
from app.intelligence.reactions import CANNOT_WRITE, FailedSignals, Reactions, record_of, session_of
from app.session import Action, Session
from app.settings import Settings
from app.signals import SIGNALS, AnySignal
from app.webhook import signed_body

log = structlog.get_logger()

ROUND = 5.0  # seconds between two signs of life of a listener
LINGER = 120.0  # seconds that a worker goes on listening after the end: a summary takes some
FAREWELL = 1.5  # seconds for what is being worked on when the server stops
DAY = 24 * 3600  # seconds


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
        examples=[os.devnull],  # what fails in a simulation is not to be replayed in earnest
        description="Write the name of a file that the server may write.",
    )


class Intelligence(Capability):
    """`finished` holds the ids of the results that this worker has lately dealt with, and what came of each."""

    settings = IntelligenceSettings

    def __init__(
        self,
        services: Services,
        reactions: Any,
    ) -> None:
        settings: IntelligenceSettings = services.settings
        self.services = services
        self.configuration_id = settings.intelligence_configuration_id
        self.alert_url = settings.alert_url
        self.store = services.store
        self.now = services.now
        self.mailbox = Mailbox(services.store)
        self.failed = FailedSignals(settings.failed_signals)
        self.reactions = Reactions(reactions, self.failed)
        self.finished: deque[tuple[str, str]] = deque(maxlen=1000)
        self._body = signed_body(settings)
        self._receiving = Background()
        self._listeners: dict[str, tuple[Session, asyncio.Task[None]]] = {}
        self._over: dict[str, float] = {}  # what has ended here, and until when it is listened for
        self._closing = False

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services, own_reactions)

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/webhooks/intelligence", self.webhook, methods=["POST"])
        return router

    async def webhook(self, request: Request) -> Response:
        """Answers at once, and 200 also when it cannot read the payload: Twilio would only send the same again."""
        body = await self._body(request)
        self._receiving.start(self._receive(body, request.headers.get("i-twilio-idempotency-token")))
        return Response()

    async def open(self) -> None:
        try:
            self.failed.check()
        except OSError as error:
            log.error("signals.cannot_be_kept", error=type(error).__name__, hint=CANNOT_WRITE)

    async def close(self) -> None:
        self._closing = True
        for id in list(self._listeners):
            await self.mailbox.deliver(id, "")  # wakes who waits
        tasks = [*self._receiving, *(task for _, task in self._listeners.values())]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=FAREWELL)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def on_start(self, session: Session) -> None:
        if session.connection.spoken:  # nobody serves a conversation in writing between two messages
            self._listen(session)

    async def on_resume(self, session: Session) -> None:
        await self.on_start(session)

    async def on_end(self, session: Session) -> None:
        """The summary comes after the end."""
        await self._remember(session)
        self._over[session.id] = time.monotonic() + LINGER
        self._listen(session)

    def actions(self, session: Session) -> Mapping[str, Action]:
        return {"alert": self._alert}

    async def _alert(self, session: Session, reason: str) -> bool:
        if self.alert_url is None:
            return False
        told = {"reason": reason, "id": session.id, "conversationId": session.conversation_id}
        async with httpx2.AsyncClient(timeout=5.0) as http:
            answer = await http.post(self.alert_url, json={**told, "at": session.now().isoformat()})
        answer.raise_for_status()
        return True

    # --- what comes from Twilio --------------------------------------------------------------------------------

    async def _receive(self, body: Mapping[str, Any], token: str | None) -> None:
        """Put the signals of one webhook into the mailbox of their conversation."""
        try:
            execution, results = read(body)
        except ValidationError as errors:
            log.error("signals.unreadable", fields=fields_of(errors))
            return
        ids = [result.id or "" for result in results]
        try:
            outcome = await self._sort(execution, results, token or token_of(ids))
        except Exception:
            log.exception("signals.failed")
            outcome = "failed"
        if outcome:
            log.info("signals.ignored", reason=outcome, count=len(ids))
            self.finished.extend((id, outcome) for id in ids)

    async def _sort(self, execution: Execution, results: list[Result], token: str) -> str:
        """Why nothing came of a webhook, or nothing."""
        if execution.intelligence_configuration.id != self.configuration_id:
            return "another configuration"
        id = await self._known_as(execution, results)
        if id is None:
            return "another conversation"
        if token and not await self.store.claim(f"signals-seen:{token}", DAY):
            return "seen before"
        for result in results:
            await self.mailbox.deliver(id, SIGNALS.dump_json(signal_of(result)).decode())
        if not await self.mailbox.listens(id):
            session = await self._remembered(id)
            await self._empty(session)
        return ""

    async def _known_as(self, execution: Execution, results: list[Result]) -> str | None:
        """By what id we know the conversation; None when it is none of ours."""
        if execution.conversation_id and (id := await self.store.get(f"conversation:{execution.conversation_id}")):
            return id
        for reference in {str(each) for result in results for each in result.reference_ids or []}:
            if await self.store.get(f"session:{reference}"):
                return reference
        return None

    # --- the worker that serves it -----------------------------------------------------------------------------

    def _listen(self, session: Session) -> None:
        heard, task = self._listeners.get(session.id, (None, None))
        if heard is session and task and not task.done():
            return
        task = asyncio.create_task(self._attend(session))
        self._listeners[session.id] = (session, task)

    def _attending(self, session: Session) -> bool:
        until = self._over.get(session.id)
        return not self._closing and (session.connection.open if until is None else time.monotonic() < until)

    async def _attend(self, session: Session) -> None:
        """React while the line is open, and for a while after the end. What comes while it is closed is for whoever
        goes on with it."""
        try:
            while self._attending(session):
                await self.mailbox.listen(session.id)
                text = await self.mailbox.take(session.id, ROUND)
                if text and not (self._attending(session) or session.id in self._over):
                    await self.mailbox.deliver(session.id, text)
                elif text:
                    await self._react(text, session)
            if session.id in self._over:
                await self.mailbox.leave(session.id)
                await self._empty(session)
        finally:
            if self._listeners.get(session.id, (None,))[0] is session:
                del self._listeners[session.id]
                self._over.pop(session.id, None)

    async def _empty(self, session: Session) -> None:
        """React to all that is in the mailbox of a conversation that nobody serves."""
        while (text := await self.mailbox.take(session.id, 0.01)) is not None:
            if text:
                await self._react(text, session)

    async def _react(self, text: str, session: Session) -> None:
        try:
            signal: AnySignal = SIGNALS.validate_json(text)
            before = record_of(session)
            failure = await self.reactions.react(signal, session)
            await self._keep(session, before)
            self.finished.append((signal.id, "failed" if failure else "handled"))
        except Exception:
            log.exception("signals.failed", session=session.id)

    async def _keep(self, session: Session, before: Mapping[str, Any]) -> None:
        """What a reaction has changed. A call in progress is kept by whoever serves it."""
        if session.connection.open and session.connection.spoken:
            return
        after = record_of(session)
        state = {name: value for name, value in after["state"].items() if before["state"].get(name) != value}
        guidance = after["guidance"] if after["guidance"] != before["guidance"] else None
        try:
            if session.connection.open and (state or guidance is not None):
                await session.connection.update_state(state, guidance)
        except NotSupported:  # it has ended just now
            await self._remember(session)
        if not session.connection.open:
            await self._remember(session)

    # --- conversations that are over --------------------------------------------------------------------------

    async def _remember(self, session: Session) -> None:
        await self.store.put(f"after:{session.id}", json.dumps(record_of(session)), DAY)

    async def react_again(self, line: Mapping[str, Any]) -> str | None:
        """React to a signal that was kept, with the conversation as it was. Why that failed again, or None."""
        return await self.reactions.react(SIGNALS.validate_python(line["signal"]), await self._again(line["session"]))

    async def _remembered(self, id: str) -> Session:
        """A conversation that nobody serves: it is over, or between two messages, or its worker has died."""
        record: Any = json.loads(await self.store.get(f"session:{id}") or "null")
        session = await self._again({**(record if isinstance(record, dict) else {}), "id": id})
        after = None if session.connection.open else await self.store.get(f"after:{id}")
        return await self._again({**json.loads(after), "id": id}) if after else session

    async def _again(self, record: Mapping[str, Any]) -> Session:
        session = session_of(record, self.now)
        await attach(session, self.services)
        return session


def read(body: Mapping[str, Any]) -> tuple[Execution, list[Result]]:
    """Raises ValidationError for what is no rule execution. A result that is none is left out."""
    execution = Execution.model_validate(body)
    results = []
    for raw in execution.operator_results:
        try:
            results.append(Result.model_validate(raw))
        except ValidationError as errors:
            log.error("signals.unreadable", fields=fields_of(errors))
    return execution, results


def fields_of(errors: ValidationError) -> str:
    """Where a payload is wrong. What stands there is not logged."""
    return ", ".join(".".join(map(str, error["loc"])) or "the whole" for error in errors.errors())


def token_of(ids: list[str]) -> str:
    """A token for a webhook that came without one. Nothing, if there is nothing to know it by."""
    return hashlib.sha256(",".join(sorted(ids)).encode()).hexdigest() if any(ids) else ""
