"""A call in a queue of TaskRouter is a task."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.taskrouter import EVENTS, TTL, TaskRouter, form_of, sid
from kit.twiml import Queue

if TYPE_CHECKING:
    from kit.caller import Call


class CallQueue(TaskRouter):
    """What becomes of it is told to the app, and heard by the caller."""

    async def happens(self, call: Call, event: Any) -> None:
        """What becomes of the call in the queue: accepted, completed, nobody, queue_full, error or hangup."""
        known: dict[str, Callable[[Call], Awaitable[None]]] = {
            "accepted": self._accepted,
            "completed": self._completed,
            "nobody": self._nobody,
            "queue_full": self._full,
            "error": self._error,
            "hangup": self._hangup,
        }
        if event not in known:
            raise ValueError(f"a task cannot be {event!r}; it can be {', '.join(known)}")
        if call.queue is None:
            raise ValueError("this call waits in no queue")
        await known[event](call)

    async def enqueue(self, call: Call, queue: Queue) -> None:
        """A call arrives. It becomes a task, and hears what the wait URL says."""
        if self.full:
            await self._leaves(call, "queue-full")
            return
        task = self.create(queue.workflow, {**queue.attributes, **about(call)}, queue.priority, queue.timeout)
        await self._tell(call, "task.created", task)
        await self._tell(call, "task-queue.entered", task)
        if queue.wait_url:
            await call.fetch(queue.wait_url, QueueTime="0", QueuePosition="1", CallStatus="in-progress")

    async def _accepted(self, call: Call) -> None:
        """A worker takes the call. Nobody says anything to the caller but the worker."""
        task = self._of(call)
        task["assignment_status"] = "assigned"
        await self._tell(call, "reservation.accepted", task, ReservationSid=sid("WR"), WorkerName="Alice")

    async def _completed(self, call: Call) -> None:
        """The worker hangs up."""
        task = self._of(call)
        task["assignment_status"] = "completed"
        await self._tell(call, "task.completed", task)
        call.ended_by = "human"
        await self._leaves(call, "bridged")

    async def _nobody(self, call: Call) -> None:
        """The task is cancelled. The call itself waits on until the wait URL lets it leave."""
        task = self._of(call)
        await self._tell(call, "workflow.timeout", task)
        await self._cancel(call, task, TTL)
        queue = call.queue
        waited = str(queue.timeout if queue and queue.timeout else 14 * 24 * 3600)
        document = queue and queue.wait_url and await call.fetch(queue.wait_url, QueueTime=waited)
        if not document or "Leave" not in document.verbs:
            call.problems.append("nobody comes, and the caller waits for ever: the wait URL does not say <Leave>")
            return
        await self._leaves(call, "leave")

    async def _full(self, call: Call) -> None:
        await self._leaves(call, "queue-full")

    async def _error(self, call: Call) -> None:
        await self._leaves(call, "system-error")

    async def _hangup(self, call: Call) -> None:
        task = self._of(call)
        await self._cancel(call, task, "hangup")
        call.ended_by = "caller"
        await self._leaves(call, "hangup", "completed")

    async def _cancel(self, call: Call, task: dict[str, Any], reason: str) -> None:
        task.update(assignment_status="canceled", reason=reason)
        await self._tell(call, "task.canceled", task, TaskCanceledReason=reason)

    async def _leaves(self, call: Call, result: str, status: str = "in-progress") -> None:
        """The call leaves the queue, and the action URL is asked what to do with it."""
        queue, call.queue = call.queue, None
        if queue and queue.action:
            more = {"QueueSid": sid("QU"), "QueueTime": "1"} if result != "queue-full" else {}
            await call.goes_on(await call.fetch(queue.action, QueueResult=result, CallStatus=status, **more))
        else:
            call.ended_by = call.ended_by or "agent"

    async def _tell(self, call: Call, event: str, task: dict[str, Any], **more: str) -> None:
        """An event callback. TaskRouter wants 204, and drops what is refused."""
        form = form_of(event, task, **more)
        for _ in range(self.repeats):
            answer = await call.post_form(EVENTS, form)
            if answer.status_code not in (200, 204):
                call.problems.append(f"POST {EVENTS} answered {answer.status_code} to {event}")

    def _of(self, call: Call) -> dict[str, Any]:
        return next(task for task in self.tasks.values() if json.loads(task["attributes"]).get("call_sid") == call.sid)


def about(call: Call) -> dict[str, Any]:
    """What TaskRouter itself adds to the task of a call."""
    return {
        "call_sid": call.sid,
        "account_sid": ACCOUNT_SID,
        "from": call.caller,
        "to": call.called,
        "caller": call.caller,
        "called": call.called,
        "direction": "inbound",
        "call_status": "in-progress",
    }
