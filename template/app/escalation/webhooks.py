"""Webhook for TaskRouter's events, about calls and conversations in writing."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Response
from starlette.background import BackgroundTask

from app.escalation.state import KEPT, Records, State
from app.escalation.transfer import Transfer
from app.settings import Settings
from app.store import Store
from app.webhook import signed_body

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


def routes(
    settings: Settings, records: Records, store: Store, transfers: Sequence[Transfer], working: set[asyncio.Task[None]]
) -> APIRouter:
    """`working` holds the tasks that work on an event."""
    router = APIRouter()

    @router.post("/webhooks/taskrouter")
    async def event(fields: Annotated[dict[str, Any], Depends(signed_body(settings))]) -> Response:
        """TaskRouter wants 204 within 15 seconds."""
        task: Any = asyncio.current_task()
        working.add(task)
        return Response(status_code=204, background=BackgroundTask(finish, task, fields))

    async def finish(task: asyncio.Task[None], fields: Mapping[str, str]) -> None:
        try:
            await take(fields)
        finally:
            working.discard(task)

    async def take(fields: Mapping[str, str]) -> None:
        """A call's task has `call_sid`, that of a conversation in writing `conversation_id` and `escalation_id`."""
        state, task = EVENTS.get(fields.get("EventType", "")), task_of(fields)
        id = task.get("call_sid") or task.get("conversation_id")
        if state is None or not id:
            return
        if (sid := fields.get("Sid")) and not await store.claim(f"taskrouter:{sid}", KEPT):
            return
        if fields.get("EventType") == "task.canceled" and fields.get("TaskCanceledReason", "").lower() == "hangup":
            state = State.ABANDONED
        record = await records.move(str(id), state, task.get("escalation_id"))
        for transfer in transfers:
            if record and transfer.spoken == (record.payload.channel == "voice"):
                await transfer.on_event(str(id), record)

    return router


def task_of(fields: Mapping[str, str]) -> dict[str, Any]:
    """The task attributes in an event, {} when they are not a JSON object."""
    try:
        attributes = json.loads(fields.get("TaskAttributes") or "{}")
    except ValueError:
        attributes = None
    if not isinstance(attributes, dict):
        log.warning("taskrouter.malformed", event_type=fields.get("EventType"))
        return {}
    return attributes
