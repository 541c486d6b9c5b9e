"""TaskRouter. A call or conversation in a queue is a task, and `simulate` sets its outcome: there are no workers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx2

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.product import Answer, Product, Request, get, route, sid, timestamp
from kit.twiml import Queue

if TYPE_CHECKING:
    from kit.caller import Call

WORKSPACE = "WS" + "0" * 32
EVENTS = "/webhooks/taskrouter"
TTL = "Task TTL Exceeded"
FOREVER = 14 * 24 * 3600  # seconds that a call without a timeout waits in a queue

# Each outcome of a task gives it a status, and sends events that have these fields.
OUTCOMES: dict[str, tuple[str, list[str], dict[str, str]]] = {
    "accepted": ("assigned", ["reservation.accepted"], {"WorkerName": "Alice"}),
    "completed": ("completed", ["reservation.completed", "task.completed"], {}),
    "no_worker": ("canceled", ["workflow.timeout", "task.canceled"], {"TaskCanceledReason": TTL}),
    "hangup": ("canceled", ["task.canceled"], {"TaskCanceledReason": "hangup"}),
}
# The QueueResult of a call that leaves its queue at once, by the event.
QUEUE_RESULTS = {"completed": "bridged", "queue_full": "queue-full", "error": "system-error", "hangup": "hangup"}

Post = Callable[[str, dict[str, str]], Awaitable[httpx2.Response | None]]


@dataclass
class TaskRouter(Product):
    """With `full`, the queue rejects calls. Each event is sent `repeats` times, since Twilio may repeat one."""

    host = "taskrouter.twilio.com"
    setting = "workflow_sid"
    full: bool = False
    repeats: int = 1
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def set_state(self, facts: dict[str, Any]) -> None:
        if set(facts) - {"full", "repeats"}:
            raise ValueError(f"TaskRouter can be given full and repeats, and is given {', '.join(facts)}")
        self.full, self.repeats = facts.get("full", self.full), facts.get("repeats", self.repeats)

    def create(
        self,
        workflow: str,
        attributes: dict[str, Any],
        priority: int = 0,
        timeout: int | None = None,
        channel: str = "voice",
    ) -> dict[str, Any]:
        task = {
            "sid": sid("WT"),
            "account_sid": ACCOUNT_SID,
            "workspace_sid": WORKSPACE,
            "workflow_sid": workflow,
            "attributes": json.dumps(attributes),
            "assignment_status": "pending",
            "priority": priority,
            "timeout": timeout or 24 * 3600,
            "age": 0,
            "reason": None,
            "date_created": timestamp(),
            "date_updated": timestamp(),
            "task_channel_unique_name": channel,
        }
        self.tasks[str(task["sid"])] = task
        return task

    @route("POST", "/v1/Workspaces/{workspace}/Tasks")
    async def create_task(self, request: Request, workspace: str) -> Answer:
        form = request.body
        attributes = json.loads(form.get("Attributes", "{}"))
        timeout = int(form["Timeout"]) if "Timeout" in form else None
        return 201, self.create(form.get("WorkflowSid", ""), attributes, int(form.get("Priority", 0)), timeout)

    @route("GET", "/v1/Workspaces/{workspace}/Tasks/{task}")
    async def fetch_task(self, request: Request, workspace: str, task: str) -> Answer:
        return 200, get(self.tasks, task)

    async def settle(self, task: dict[str, Any], outcome: str, post: Post) -> list[str]:
        """Give a task one of OUTCOMES, and send the events. Returns which of them the app refused."""
        status, events, more = OUTCOMES[outcome]
        task.update(assignment_status=status, reason=more.get("TaskCanceledReason"))
        return await self.send(post, task, *events, **more)

    async def send(self, post: Post, task: dict[str, Any], *events: str, **more: str) -> list[str]:
        """Send event callbacks. Returns which of them the app refused: TaskRouter does not send one again."""
        refused = []
        for event in events:
            form = event_form(event, task, **more)
            for _ in range(self.repeats):
                response = await post(EVENTS, form)
                if response is not None and response.status_code not in (200, 204):
                    refused.append(f"POST {EVENTS} answered {response.status_code} to {event}")
        return refused

    # --- calls in a queue -------------------------------------------------------------------------------------------

    async def simulate(self, call: Call, event: Any) -> None:
        """A call in a queue is accepted, completed, or left by `no_worker`, `queue_full`, `error` or `hangup`."""
        if event not in (known := [*OUTCOMES, "queue_full", "error"]):
            raise ValueError(f"a task cannot be {event!r}; it can be {', '.join(known)}")
        if getattr(call, "queue", None) is None:
            raise ValueError("this call waits in no queue")
        if event in OUTCOMES:
            tasks = self.tasks.values()
            task = next(each for each in tasks if json.loads(each["attributes"]).get("call_sid") == call.sid)
            call.problems += await self.settle(task, event, call.post_form)
        if event == "no_worker":
            await self._leave_by_wait_url(call)
        elif event in QUEUE_RESULTS:
            call.ended_by = {"completed": "human", "hangup": "caller"}.get(event, call.ended_by)
            await self._leave(call, QUEUE_RESULTS[event], "completed" if event == "hangup" else "in-progress")

    async def enqueue(self, call: Call, queue: Queue) -> None:
        """A call enters the queue of a workflow: create its task, and request the TwiML of the wait URL."""
        if self.full:
            await self._leave(call, "queue-full")
            return
        task = self.create(queue.workflow, {**queue.attributes, **call_attributes(call)}, queue.priority, queue.timeout)
        call.problems += await self.send(call.post_form, task, "task.created", "task-queue.entered")
        if queue.wait_url:
            await call.fetch(queue.wait_url, QueueTime="0", QueuePosition="1", CallStatus="in-progress")

    async def _leave_by_wait_url(self, call: Call) -> None:
        """A call whose task was cancelled stays in the queue until the TwiML of the wait URL has <Leave>."""
        queue = call.queue
        waited = str((queue and queue.timeout) or FOREVER)
        document = queue and queue.wait_url and await call.fetch(queue.wait_url, QueueTime=waited)
        if not document or "Leave" not in document.verbs:
            call.problems.append("no worker accepts, and the caller waits for ever: the wait URL does not say <Leave>")
            return
        await self._leave(call, "leave")

    async def _leave(self, call: Call, result: str, status: str = "in-progress") -> None:
        """The call leaves the queue and follows the TwiML of the action URL."""
        queue, call.queue = call.queue, None
        if queue and queue.action:
            more = {"QueueSid": sid("QU"), "QueueTime": "1"} if result != "queue-full" else {}
            await call.goes_on(await call.fetch(queue.action, QueueResult=result, CallStatus=status, **more))
        else:
            call.ended_by = call.ended_by or "agent"


def call_attributes(call: Call) -> dict[str, Any]:
    """The attributes that TaskRouter adds to the task of a call."""
    return {
        "call_sid": call.sid,
        "account_sid": ACCOUNT_SID,
        "from": call.sender,
        "to": call.recipient,
        "caller": call.sender,
        "called": call.recipient,
        "direction": call.direction,
        "call_status": "in-progress",
    }


def event_form(event: str, task: dict[str, Any], **more: str) -> dict[str, str]:
    """The form of an event callback."""
    reservation = {"ReservationSid": sid("WR")} if event.startswith("reservation.") else {}
    return {
        "Sid": sid("EV"),
        "EventType": event,
        "AccountSid": ACCOUNT_SID,
        "WorkspaceSid": WORKSPACE,
        "WorkspaceName": "Simulated",
        "EventDescription": event,
        "ResourceType": event.partition(".")[0],
        "ResourceSid": task["sid"],
        "Timestamp": timestamp(),
        "TaskSid": task["sid"],
        "TaskAttributes": task["attributes"],
        "TaskPriority": str(task["priority"]),
        "TaskAssignmentStatus": task["assignment_status"],
        "WorkflowSid": task["workflow_sid"],
        **reservation,
        **more,
    }
