"""TaskRouter: what waits for a human is a task; what becomes of it is told in events. There are no workers here."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.product import Answer, NotFound, Product, Request, route

WORKSPACE = "WS" + "0" * 32
EVENTS = "/webhooks/taskrouter"
TTL = "Task TTL Exceeded"


def sid(prefix: str) -> str:
    return prefix + uuid4().hex


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class TaskRouter(Product):
    """`full` refuses the next calls; `repeats` is how often each event is sent, as Twilio may."""

    host = "taskrouter.twilio.com"
    full: bool = False
    repeats: int = 1
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    def given(self, facts: dict[str, Any]) -> None:
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
            "date_created": now(),
            "date_updated": now(),
            "task_channel_unique_name": channel,
        }
        self.tasks[str(task["sid"])] = task
        return task

    # --- what the helper library asks ------------------------------------------------------------------

    @route("POST", "/v1/Workspaces/{workspace}/Tasks")
    async def create_task(self, request: Request, workspace: str) -> Answer:
        asked = request.body
        attributes = json.loads(asked.get("Attributes", "{}"))
        timeout = int(asked["Timeout"]) if "Timeout" in asked else None
        return 201, self.create(asked.get("WorkflowSid", ""), attributes, int(asked.get("Priority", 0)), timeout)

    @route("GET", "/v1/Workspaces/{workspace}/Tasks/{task}")
    async def fetch_task(self, request: Request, workspace: str, task: str) -> Answer:
        return 200, found(self.tasks, task)


def form_of(event: str, task: dict[str, Any], **more: str) -> dict[str, str]:
    """An event callback."""
    return {
        "Sid": sid("EV"),
        "EventType": event,
        "AccountSid": ACCOUNT_SID,
        "WorkspaceSid": WORKSPACE,
        "WorkspaceName": "Simulated",
        "EventDescription": event,
        "ResourceType": event.partition(".")[0],
        "ResourceSid": task["sid"],
        "Timestamp": now(),
        "TaskSid": task["sid"],
        "TaskAttributes": task["attributes"],
        "TaskPriority": str(task["priority"]),
        "TaskAssignmentStatus": task["assignment_status"],
        "WorkflowSid": task["workflow_sid"],
        **more,
    }


def found(known: dict[str, dict[str, Any]], wanted: str) -> dict[str, Any]:
    if wanted not in known:
        raise NotFound(f"{wanted} was not found")
    return known[wanted]
