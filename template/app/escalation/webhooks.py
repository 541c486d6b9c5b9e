"""The addresses that Twilio calls while a caller waits for a human, and after."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

from agent import handoff, words
from app.escalation import voice
from app.escalation.state import KEPT, OVER, Record, Records, State
from app.settings import Settings
from app.store import Store
from app.webhook import signed

log = structlog.get_logger()

# QueueResult -> state; any other is nobody_available. Source: https://www.twilio.com/docs/voice/twiml/enqueue
RESULTS = {
    "bridged": State.COMPLETED,
    "redirected-from-bridged": State.COMPLETED,
    "hangup": State.ABANDONED,
    "leave": State.TIMED_OUT,
    "timeout": State.TIMED_OUT,
}
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
CONNECTING = 60  # seconds that a human who has accepted may take to be there


def routes(settings: Settings, records: Records, store: Store, timeout: int) -> APIRouter:
    """`timeout` in seconds, after which a caller does not wait any longer."""
    router = APIRouter()
    form = signed(settings)
    url = settings.public_url

    @router.post("/escalation/wait")
    async def wait(fields: Annotated[dict[str, Any], Depends(form)]) -> Response:
        call_sid, waited = str(fields.get("CallSid", "")), str(fields.get("QueueTime", ""))
        record = await records.get(call_sid)
        over = record is not None and record.state in OVER
        patience = timeout + (CONNECTING if record and record.state is State.ACCEPTED else 0)
        if not over and waited.isdecimal() and int(waited) >= patience:
            await records.move(call_sid, State.TIMED_OUT)
            over = True
        return twiml(voice.leave() if over else voice.wait())

    @router.post("/escalation/after")
    async def after(fields: Annotated[dict[str, Any], Depends(form)]) -> Response:
        call_sid, result = str(fields.get("CallSid", "")), str(fields.get("QueueResult", ""))
        gone = fields.get("CallStatus", "in-progress") != "in-progress"
        state = RESULTS.get(result, State.ABANDONED if gone else State.NOBODY_AVAILABLE)
        record = await records.move(call_sid, state)
        if gone or state is State.ABANDONED:
            return twiml(voice.nothing())
        taken = result == "redirected" and record and record.state in (State.ACCEPTED, State.COMPLETED)
        if state is State.COMPLETED or taken:
            return twiml(voice.goodbye(words.GOODBYE))
        log.warning("escalation.nobody", call=call_sid, result=result)
        voicemail = handoff.WAY_OUT == "voicemail"
        record = await records.note(call_sid, way_out="voicemail" if voicemail else "callback")
        return twiml(voice.nobody(url), None if voicemail else follow_up(fields, record, None))

    @router.post("/escalation/voicemail")
    async def voicemail(fields: Annotated[dict[str, Any], Depends(form)]) -> Response:
        call_sid, recording = str(fields.get("CallSid", "")), str(fields.get("RecordingUrl", "")) or None
        record = await records.note(call_sid, recording=recording)
        return twiml(voice.goodbye(handoff.CALL_BACK, words.GOODBYE), follow_up(fields, record, recording))

    @router.post("/webhooks/taskrouter")
    async def event(fields: Annotated[dict[str, Any], Depends(form)]) -> Response:
        """TaskRouter wants 204 within 15 seconds."""
        return Response(status_code=204, background=BackgroundTask(take, fields))

    async def take(fields: Mapping[str, str]) -> None:
        state, call_sid = EVENTS.get(fields.get("EventType", "")), task_of(fields).get("call_sid")
        if state is None or not call_sid:
            return
        if (sid := fields.get("Sid")) and not await store.claim(f"taskrouter:{sid}", KEPT):
            return
        if fields.get("EventType") == "task.canceled" and fields.get("TaskCanceledReason", "").lower() == "hangup":
            state = State.ABANDONED
        await records.move(str(call_sid), state)

    @router.post("/webhooks/taskrouter/assignment")
    async def assignment(fields: Annotated[dict[str, Any], Depends(form)]) -> Response:
        """Without Flex: bridge the caller to the worker's `contact_uri`. TaskRouter waits 5 seconds for this."""
        called = task_of(fields).get("to")
        return JSONResponse({"instruction": "dequeue", **({"from": called} if called else {})})

    return router


def twiml(text: str, background: BackgroundTask | None = None) -> Response:
    return Response(text, media_type="application/xml", background=background)


def task_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """The attributes of the task that an event is about."""
    try:
        attributes = json.loads(fields.get("TaskAttributes") or "{}")
    except ValueError:
        attributes = None
    if not isinstance(attributes, dict):
        log.warning("taskrouter.malformed", event_type=fields.get("EventType"))
        return {}
    return attributes


def follow_up(fields: Mapping[str, str], record: Record | None, recording: str | None) -> BackgroundTask:
    """Tell agent/handoff.py that somebody must call back."""

    async def tell() -> None:
        try:
            told = record.payload.attributes() if record else {}
            await handoff.follow_up(fields.get("From", ""), told, recording)
        except Exception:
            log.exception("handoff.follow_up_failed", call=fields.get("CallSid"))

    return BackgroundTask(tell)
