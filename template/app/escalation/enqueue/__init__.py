"""Transfer of a call: ConversationRelay ends, and `<Enqueue>` puts the caller into the queue of a workflow.

The call cannot return to the agent: Twilio does not offer that (November 2026).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import structlog
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.background import BackgroundTask
from twilio.twiml.voice_response import VoiceResponse

from app import config
from app.capability import Services
from app.channel import signed_body
from app.connection import has_number, parties
from app.escalation import task_of
from app.escalation.handoff import handoff
from app.escalation.record import FINAL_STATES, Payload, Record, Records, State
from app.escalation.transfer import CONNECT_GRACE, Transfer, customer_attributes, follow_up
from app.session import Session
from app.voice.connect_action import SAY_LANGUAGE, respond, say
from app.voice.phrases import phrases
from app.voice.voicemail import record_twiml

log = structlog.get_logger()

# QueueResult -> state; any other is no_worker_available. Source: https://www.twilio.com/docs/voice/twiml/enqueue
RESULTS = {
    "bridged": State.COMPLETED,
    "redirected-from-bridged": State.COMPLETED,
    "hangup": State.ABANDONED,
    "leave": State.TIMED_OUT,
    "timeout": State.TIMED_OUT,
}
# Seconds of pause after an announcement without MUSIC. A caller leaves the queue only at the end of pause or MUSIC.
ANNOUNCEMENT_PAUSE = 15
BEFORE_THE_QUEUE = (State.REQUESTED, State.BRIEFING)


class EnqueueTransfer(Transfer):
    """Keeps the escalation in the session too, so that a transfer does not depend on the store."""

    spoken = True

    def __init__(self, services: Services, records: Records) -> None:
        super().__init__(services, records)
        self.form = signed_body(services.settings)

    async def in_progress(self, session: Session) -> Record | None:
        """The escalation, unless it has reached the queue: from then on the agent does not have the call."""
        kept = session.state.get("escalation")
        record = Record.model_validate(kept) if kept else None
        return record if record and record.state in BEFORE_THE_QUEUE else None

    async def begin(self, session: Session, record: Record) -> bool:
        await self.save(session, record)
        return True

    async def save(self, session: Session, record: Record) -> None:
        session.state["escalation"] = record.model_dump(mode="json")
        await self.records.save_and_count(session.id, record)

    async def start_transfer(self, session: Session, record: Record) -> None:
        await session.connection.end(record.payload.model_dump())

    async def on_turn(self, session: Session, record: Record) -> None:
        """The caller spoke before the call was in the queue, or the WebSocket dropped: transfer again."""
        await self.hand_over(session, record)

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        try:
            payload = Payload.model_validate(handoff)
        except ValidationError:
            return None  # the call ends without a transfer
        record = await self.records.queue(session.id, payload)
        session.state["escalation"] = record.model_dump(mode="json")
        options = self.options
        return enqueue_twiml(
            options.public_url, options.workflow_sid, payload, timeout=options.queue_timeout, customer=session.caller
        )

    async def on_end(self, session: Session) -> None:
        """Mark as abandoned when the caller hung up before the queue, unless the stored record is further on."""
        record = await self.records.get(session.id) if await self.in_progress(session) else None
        if record and record.state in BEFORE_THE_QUEUE:
            await self.records.move(session.id, State.ABANDONED)

    # --- webhooks: while the caller is in the queue, and afterwards ------------------------------------------------

    def routes(self) -> APIRouter:
        router = APIRouter()
        router.add_api_route("/escalation/wait", self.wait, methods=["POST"])
        router.add_api_route("/escalation/after", self.after, methods=["POST"])
        router.add_api_route("/escalation/voicemail", self.voicemail, methods=["POST"])
        router.add_api_route("/webhooks/taskrouter/assignment", self.assignment, methods=["POST"])
        return router

    async def wait(self, request: Request) -> Response:
        """Twilio plays the response to a caller in the queue, and requests it again at its end."""
        fields = await self.form(request)
        call_sid, waited = str(fields.get("CallSid", "")), str(fields.get("QueueTime", ""))
        record = await self.records.get(call_sid)
        # ABANDONED does not count: this request proves that the caller is still in the queue.
        leaves = record is not None and record.state in FINAL_STATES - {State.ABANDONED}
        longest_wait = self.options.queue_timeout + (CONNECT_GRACE if record and record.state is State.ACCEPTED else 0)
        if not leaves and waited.isdecimal() and int(waited) >= longest_wait:
            await self.records.move(call_sid, State.TIMED_OUT)
            leaves = True
        return respond(leave_twiml() if leaves else wait_twiml())

    async def after(self, request: Request) -> Response:
        """Twilio requests this when the caller has left the queue."""
        fields = await self.form(request)
        call_sid, result = str(fields.get("CallSid", "")), str(fields.get("QueueResult", ""))
        hung_up = fields.get("CallStatus", "in-progress") != "in-progress"
        state = RESULTS.get(result, State.ABANDONED if hung_up else State.NO_WORKER_AVAILABLE)
        record = await self.records.move(call_sid, state)
        if hung_up or state is State.ABANDONED:
            return respond(empty_twiml())
        redirected = result == "redirected" and record and record.state in (State.ACCEPTED, State.COMPLETED)
        if state is State.COMPLETED or redirected:
            return respond(say(phrases.GOODBYE))
        log.warning("escalation.no_worker", call=call_sid, result=result)
        voicemail, number = config.VOICEMAIL and handoff.WAY_OUT == "voicemail", number_of(fields)
        way_out = "voicemail" if voicemail else "callback" if number else None
        record = await self.records.update_fields(call_sid, way_out=way_out)
        return respond(
            no_worker_twiml(self.options.public_url, way_out),
            call_follow_up(fields, record, None) if way_out == "callback" else None,
        )

    async def voicemail(self, request: Request) -> Response:
        """Twilio requests this after a recording."""
        fields = await self.form(request)
        call_sid, recording = str(fields.get("CallSid", "")), str(fields.get("RecordingUrl", "")) or None
        record = await self.records.update_fields(call_sid, recording=recording)
        promise = [handoff.CALL_BACK] if number_of(fields) else []
        return respond(say(*promise, phrases.GOODBYE), call_follow_up(fields, record, recording))

    async def assignment(self, request: Request) -> Response:
        """Without Flex: connect the caller to the worker's `contact_uri`. TaskRouter waits 5 seconds."""
        _, called = parties(task_of(await self.form(request)))
        return JSONResponse({"instruction": "dequeue", **({"from": called} if called else {})})


def number_of(fields: Mapping[str, str]) -> str:
    """The number to call the customer back at; empty when there is none."""
    customer, _ = parties(fields)
    return customer if has_number(customer) else ""


def call_follow_up(fields: Mapping[str, str], record: Record | None, recording: str | None) -> BackgroundTask:
    """Call `follow_up` of agent/handoff.py after the response."""
    return BackgroundTask(follow_up, fields.get("CallSid", ""), number_of(fields), record, recording)


# --- TwiML: every document speaks, connects or ends the call -----------------------------------------------------


def enqueue_twiml(public_url: str, workflow_sid: str, payload: Payload, timeout: int, customer: str = "") -> str:
    """Put the caller in the queue of a workflow. TaskRouter cancels the task after `timeout` seconds."""
    response = VoiceResponse()
    queue = response.enqueue(
        None,
        workflow_sid=workflow_sid,
        wait_url=f"{public_url}/escalation/wait",
        action=f"{public_url}/escalation/after",
    )
    attributes = json.dumps({**payload.attributes(), **customer_attributes(customer)}, ensure_ascii=False)
    queue.task(attributes, priority=payload.routing_hints.priority, timeout=timeout)
    return str(response)


def wait_twiml() -> str:
    """The announcement of the queue, then music or a pause. Twilio requests it again at its end."""
    response = VoiceResponse()
    response.say(handoff.WAITING, language=SAY_LANGUAGE)
    if handoff.MUSIC:
        response.play(handoff.MUSIC)
    else:
        response.pause(length=ANNOUNCEMENT_PAUSE)
    return str(response)


def leave_twiml() -> str:
    """Take the caller out of the queue. A cancelled task does not: the caller would wait on.

    Source: https://www.twilio.com/docs/taskrouter/task-evaluation
    """
    response = VoiceResponse()
    response.leave()
    return str(response)


def no_worker_twiml(public_url: str, way_out: str | None) -> str:
    """Say that no worker is available, and offer `way_out`; without one, ask the caller to call again."""
    if way_out == "voicemail":
        return record_twiml(f"{public_url}/escalation/voicemail", handoff.NO_WORKER, handoff.MESSAGE)
    return say(handoff.NO_WORKER, handoff.CALL_BACK if way_out else handoff.CALL_AGAIN)


def empty_twiml() -> str:
    """For a caller who has hung up."""
    return str(VoiceResponse())
