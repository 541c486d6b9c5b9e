"""Level 4: transfer to a human.

The caller, the model, a sensitive topic, repeated failures or a signal starts an escalation: the agent tells the
caller, and the conversation becomes a task of TaskRouter. The agent cannot listen or assist while the human speaks:
Twilio does not offer that (November 2026). `enqueue/` transfers calls, `flex/` transfers text conversations.

A worker is a human in TaskRouter here, and never a server process.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import structlog
from fastapi import APIRouter, Request, Response
from pydantic import Field
from starlette.background import BackgroundTask

from app.capability import Capability, Services
from app.channel import signed_body
from app.escalation.handoff import handoff
from app.escalation.record import CALL_TTL, Payload, Record, Records, State
from app.escalation.transfer import Transfer
from app.session import Action, Session
from app.settings import Settings
from app.turn_end import failures, is_in_turn, wait_until_idle

log = structlog.get_logger()

# EventType -> state. Source: https://www.twilio.com/docs/taskrouter/api/event/reference
EVENTS = {
    "task.created": State.QUEUED,
    "task-queue.entered": State.QUEUED,
    "reservation.accepted": State.ACCEPTED,
    "reservation.completed": State.COMPLETED,
    "task.completed": State.COMPLETED,
    "workflow.timeout": State.TIMED_OUT,
    "task.canceled": State.TIMED_OUT,
}


class EscalationSettings(Settings):
    workflow_sid: str = Field(
        alias="TWILIO_WORKFLOW_SID",
        pattern="^WW[0-9a-f]{32}$",
        examples=["WW" + "0" * 32],
        description="Copy the SID of your TaskRouter workflow (WW and 32 characters).",
    )
    queue_timeout: int = Field(
        300,
        alias="AGENT_QUEUE_TIMEOUT",
        ge=10,
        le=4 * 3600,
        description="Write how many seconds a caller waits for a human, 10 to 14400.",
    )


class Escalation(Capability):
    settings = EscalationSettings

    def __init__(self, services: Services) -> None:
        self.options = services.settings
        self.store = services.store
        self.records = Records(services.store, services.count)
        self.transfers: list[Transfer] = [kind(services, self.records) for kind in services.parts_of(Transfer)]
        self._form = signed_body(services.settings)
        self._events: set[asyncio.Task[Any]] = set()  # requests of TaskRouter in progress

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    @property
    def counts(self) -> Counter[str]:
        return self.records.counts

    @property
    def working(self) -> set[asyncio.Task[Any]]:
        """Background tasks."""
        return self._events.union(*(transfer.working for transfer in self.transfers))

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/webhooks/taskrouter", self.event, methods=["POST"])
        for transfer in self.transfers:
            router.include_router(transfer.routes())
        return router

    def transfer_of(self, session: Session) -> Transfer:
        """EnqueueTransfer for a call, FlexTransfer for a text conversation."""
        return next(transfer for transfer in self.transfers if transfer.spoken == session.connection.spoken)

    def actions(self, session: Session) -> Mapping[str, Action]:
        async def escalate(reason_code: str, summary: str = "") -> bool:
            return await self.escalate(session, reason_code, summary)

        return {"escalate": escalate}

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        async def transfer_to_human(reason: str = "caller_asked", summary: str = "") -> str:
            """Connect the caller with a human and leave the conversation. Use it when the caller asks for a person, is
            upset, or needs what none of your tools can do. It tells the caller; say nothing afterwards.

            Args:
                reason: why, in one to three words, as in caller_asked or billing_dispute.
                summary: what the human should know, in one or two sentences. No card numbers, nothing about health.
            """
            await self.escalate(session, reason, summary)
            return "The caller is being connected."

        return [transfer_to_human]

    async def is_with_human(self, session: Session) -> bool:
        return await self.transfer_of(session).is_with_human(session)

    async def context(self, session: Session, text: str) -> str | None:
        """Escalate sensitive topics and repeated failures without the model. The task does not quote the caller:
        the text may concern health."""
        transfer = self.transfer_of(session)
        if record := await transfer.in_progress(session):
            await transfer.on_turn(session, record)
        elif any(word.casefold() in text.casefold() for word in handoff.SENSITIVE):
            await self.escalate(session, "sensitive_topic")
        elif handoff.FAILURES and failures(session.history, session.connection.apology) >= handoff.FAILURES:
            await self.escalate(session, "repeated_failure")
        return None

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        return await self.transfer_of(session).on_handoff(session, handoff)

    async def on_end(self, session: Session) -> None:
        await self.transfer_of(session).on_end(session)

    async def close(self) -> None:
        for transfer in self.transfers:
            await transfer.close()

    async def escalate(self, session: Session, reason_code: str, summary: str = "") -> bool:
        """Transfer the caller to a human. Outside a turn, wait first until the agent has finished speaking.

        Returns whether an escalation is in progress afterwards."""
        transfer = self.transfer_of(session)
        if await transfer.in_progress(session):
            return True
        if not session.connection.open:
            return False
        record = Record(payload=Payload.of(session, reason_code, summary), since=session.now())
        if not await transfer.begin(session, record):
            return True
        if not is_in_turn(session):
            await wait_until_idle(session.connection)
            if record != await transfer.in_progress(session):  # another escalation has replaced it
                return True
        return await transfer.hand_over(session, record)

    # --- TaskRouter's events, about calls and text conversations -------------------------------------------------

    async def event(self, request: Request) -> Response:
        """Responds 204 before the event is handled: TaskRouter waits 15 seconds."""
        fields = await self._form(request)
        task: Any = asyncio.current_task()
        self._events.add(task)
        return Response(status_code=204, background=BackgroundTask(self._finish_event, task, fields))

    async def _finish_event(self, task: asyncio.Task[Any], fields: Mapping[str, str]) -> None:
        try:
            await self._handle_event(fields)
        finally:
            self._events.discard(task)

    async def _handle_event(self, fields: Mapping[str, str]) -> None:
        """The task of a call has `call_sid`, that of a text conversation `conversation_id` and `escalation_id`."""
        state, task = EVENTS.get(fields.get("EventType", "")), task_of(fields)
        session_id = task.get("call_sid") or task.get("conversation_id")
        if state is None or not session_id:
            return
        if (sid := fields.get("Sid")) and not await self.store.claim(f"taskrouter:{sid}", CALL_TTL):
            return
        if fields.get("EventType") == "task.canceled" and fields.get("TaskCanceledReason", "").lower() == "hangup":
            state = State.ABANDONED
        record = await self.records.move(str(session_id), state, task.get("escalation_id"))
        for transfer in self.transfers:
            if record and transfer.spoken == (record.payload.channel == "voice"):
                await transfer.on_event(str(session_id), record)


def task_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """The task attributes in an event, {} when they are not a JSON object."""
    try:
        attributes = json.loads(fields.get("TaskAttributes") or "{}")
    except (ValueError, RecursionError):
        attributes = None
    if not isinstance(attributes, dict):
        log.warning("taskrouter.malformed", event_type=fields.get("EventType"))
        return {}
    return attributes
