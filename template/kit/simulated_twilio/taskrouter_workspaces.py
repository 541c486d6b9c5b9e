"""Workspaces of TaskRouter, with their activities, queues and workflows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.product import (
    Answer,
    BadRequest,
    Product,
    Request,
    get,
    route,
    sid,
    snake_case,
    timestamp,
)
from kit.simulated_twilio.taskrouter import WORKSPACE

BASE = "/v1/Workspaces"
ACTIVITIES = {"Offline": False, "Available": True, "Unavailable": False}
CHANNELS = ("default", "voice", "chat", "sms", "video")  # of every new workspace
KINDS = {"Activities": "WA", "TaskChannels": "TC", "TaskQueues": "WQ", "Workers": "WK", "Workflows": "WW"}
KEYS = {
    "Workspaces": "workspaces",
    "Activities": "activities",
    "TaskChannels": "channels",
    "TaskQueues": "task_queues",
    "Workers": "workers",
    "Workflows": "workflows",
}


@dataclass
class Workspaces(Product):
    """`records` maps SIDs to workspaces; `parts` maps the SID of a workspace to its resources, by kind and SID.

    A worker has the SIDs of its queues in `queues`: expressions are not evaluated.
    """

    host = "taskrouter.twilio.com"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, dict[str, dict[str, Any]]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.add("Simulated", WORKSPACE)

    def serves(self, request: Request) -> bool:
        """All requests but those for tasks, which the product TaskRouter serves."""
        parts = request.path.removeprefix(BASE).split("/")
        return super().serves(request) and (len(parts) < 3 or parts[2] in KINDS)

    def add(self, name: str, number: str = "") -> dict[str, Any]:
        """Add a workspace with the activities and channels of every new one."""
        number = number or sid("WS")
        self.parts[number] = {kind: {} for kind in KINDS}
        self.records[number] = {
            "sid": number,
            "account_sid": ACCOUNT_SID,
            "friendly_name": name,
            "event_callback_url": None,
            "events_filter": None,
            "multi_task_enabled": True,
            "prioritize_queue_order": "FIFO",
            "date_created": timestamp(),
            "date_updated": timestamp(),
            "url": f"https://{self.host}{BASE}/{number}",
        }
        for activity, available in ACTIVITIES.items():
            self.add_part(number, "Activities", {"friendly_name": activity, "available": available})
        for channel in CHANNELS:
            self.add_part(number, "TaskChannels", {"friendly_name": channel, "unique_name": channel})
        return self.records[number]

    def add_part(self, workspace: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        """Add a resource to a workspace."""
        number = sid(KINDS[kind])
        self.parts[workspace][kind][number] = {
            "sid": number,
            "account_sid": ACCOUNT_SID,
            "workspace_sid": workspace,
            "date_created": timestamp(),
            "date_updated": timestamp(),
            "url": f"https://{self.host}{BASE}/{workspace}/{kind}/{number}",
            **fields,
        }
        return self.parts[workspace][kind][number]

    @route("GET", BASE)
    async def list(self, request: Request) -> Answer:
        return 200, self._page(request, "Workspaces", self.records)

    @route("POST", BASE)
    async def create(self, request: Request) -> Answer:
        if not request.body.get("FriendlyName"):
            raise BadRequest("FriendlyName is needed")
        made = self.add(request.body["FriendlyName"])
        made.update(snake_case(request.body))
        return 201, made

    @route("GET", BASE + "/{workspace}")
    async def fetch(self, request: Request, workspace: str) -> Answer:
        return 200, get(self.records, workspace)

    @route("POST", BASE + "/{workspace}")
    async def update(self, request: Request, workspace: str) -> Answer:
        get(self.records, workspace).update(snake_case(request.body))
        return 200, self.records[workspace]

    @route("DELETE", BASE + "/{workspace}")
    async def delete(self, request: Request, workspace: str) -> Answer:
        get(self.records, workspace)
        del self.records[workspace], self.parts[workspace]
        return 204, None

    @route("GET", BASE + "/{workspace}/{kind}")
    async def list_parts(self, request: Request, workspace: str, kind: str) -> Answer:
        return 200, self._page(request, kind, self._own(workspace, kind))

    @route("POST", BASE + "/{workspace}/{kind}")
    async def create_part(self, request: Request, workspace: str, kind: str) -> Answer:
        """Names are unique among the resources of a kind in a workspace."""
        known, wanted = self._own(workspace, kind), snake_case(request.body)
        if not wanted.get("friendly_name") or any(
            each["friendly_name"] == wanted["friendly_name"] for each in known.values()
        ):
            raise BadRequest("FriendlyName is needed, and must be unique")
        self._check(workspace, kind, wanted)
        defaults: dict[str, Any] = {
            "TaskQueues": {"target_workers": "1 == 1", "max_reserved_workers": 1, "task_order": "FIFO"},
            "Workflows": {"assignment_callback_url": "", "task_reservation_timeout": 120},
            "Activities": {"available": False},
        }
        return 201, self.add_part(workspace, kind, {**defaults[kind], **wanted})

    @route("GET", BASE + "/{workspace}/{kind}/{number}")
    async def fetch_part(self, request: Request, workspace: str, kind: str, number: str) -> Answer:
        return 200, self._part(workspace, kind, number)

    @route("POST", BASE + "/{workspace}/{kind}/{number}")
    async def update_part(self, request: Request, workspace: str, kind: str, number: str) -> Answer:
        part, wanted = self._part(workspace, kind, number), snake_case(request.body)
        self._check(workspace, kind, wanted)
        part.update(wanted)
        return 200, part

    @route("DELETE", BASE + "/{workspace}/{kind}/{number}")
    async def delete_part(self, request: Request, workspace: str, kind: str, number: str) -> Answer:
        self._part(workspace, kind, number)
        used = [each["configuration"] for each in self.parts[workspace]["Workflows"].values()]
        if kind == "TaskQueues" and any(number in configuration for configuration in used):
            raise BadRequest(f"{number} is used by a workflow")
        del self.parts[workspace][kind][number]
        return 204, None

    def _own(self, workspace: str, kind: str) -> dict[str, dict[str, Any]]:
        return get(get(self.parts, workspace), kind)

    def _part(self, workspace: str, kind: str, number: str) -> dict[str, Any]:
        return get(self._own(workspace, kind), number)

    def _check(self, workspace: str, kind: str, wanted: dict[str, Any]) -> None:
        """Raise BadRequest for a workflow with a queue of another workspace."""
        if kind == "Workflows" and "configuration" in wanted:
            json.loads(wanted["configuration"])
            named = set(re.findall("WQ[0-9a-f]{32}", wanted["configuration"]))
            if unknown := named - self.parts[workspace]["TaskQueues"].keys():
                raise BadRequest(f"there is no queue {', '.join(unknown)}")

    def _page(self, request: Request, kind: str, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
        wanted, queue = request.query.get("FriendlyName"), request.query.get("TaskQueueSid")
        found = [each for each in known.values() if wanted in (None, each["friendly_name"])]
        found = [each for each in found if queue is None or queue in each["queues"]]
        records, place, following = self.numbered_page(request, found)
        url = f"https://{self.host}{request.path}"
        meta = {**place, "key": KEYS[kind], "url": url, "next_page_url": following and url + following}
        return {KEYS[kind]: records, "meta": meta}
