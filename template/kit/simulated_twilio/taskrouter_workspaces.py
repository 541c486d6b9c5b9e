"""Workspaces of TaskRouter, with their activities, queues and workflows."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.product import Answer, NotFound, Product, Refused, Request, route
from kit.simulated_twilio.taskrouter import WORKSPACE, now, sid

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
    """`known` maps SIDs to workspaces, `parts` those of a workspace to what KINDS names.

    A worker says in `queues` which ones it serves.
    """

    host = "taskrouter.twilio.com"
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, dict[str, dict[str, Any]]]] = field(default_factory=dict)
    page_size: int = 50

    def __post_init__(self) -> None:
        self.has("Simulated", WORKSPACE)

    def serves(self, request: Request) -> bool:
        """Tasks are another product's."""
        parts = request.path.removeprefix(BASE).split("/")
        return super().serves(request) and (len(parts) < 3 or parts[2] in KINDS)

    def has(self, name: str, number: str = "") -> dict[str, Any]:
        """A workspace, with the activities that every new one has."""
        number = number or sid("WS")
        self.parts[number] = {kind: {} for kind in KINDS}
        self.known[number] = {
            "sid": number,
            "account_sid": ACCOUNT_SID,
            "friendly_name": name,
            "event_callback_url": None,
            "events_filter": None,
            "multi_task_enabled": True,
            "prioritize_queue_order": "FIFO",
            "date_created": now(),
            "date_updated": now(),
            "url": f"https://{self.host}{BASE}/{number}",
        }
        for activity, available in ACTIVITIES.items():
            self.part(number, "Activities", {"friendly_name": activity, "available": available})
        for channel in CHANNELS:
            self.part(number, "TaskChannels", {"friendly_name": channel, "unique_name": channel})
        return self.known[number]

    def part(self, workspace: str, kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        """An activity, a queue or a workflow of a workspace."""
        number = sid(KINDS[kind])
        self.parts[workspace][kind][number] = {
            "sid": number,
            "account_sid": ACCOUNT_SID,
            "workspace_sid": workspace,
            "date_created": now(),
            "date_updated": now(),
            "url": f"https://{self.host}{BASE}/{workspace}/{kind}/{number}",
            **fields,
        }
        return self.parts[workspace][kind][number]

    @route("GET", BASE)
    async def list(self, request: Request) -> Answer:
        return 200, self._page(request, "Workspaces", self.known)

    @route("POST", BASE)
    async def create(self, request: Request) -> Answer:
        if not request.body.get("FriendlyName"):
            raise Refused("FriendlyName is needed")
        made = self.has(request.body["FriendlyName"])
        made.update(fields(request.body))
        return 201, made

    @route("GET", BASE + "/{workspace}")
    async def fetch(self, request: Request, workspace: str) -> Answer:
        self._own(workspace)
        return 200, self.known[workspace]

    @route("POST", BASE + "/{workspace}")
    async def update(self, request: Request, workspace: str) -> Answer:
        self._own(workspace)
        self.known[workspace].update(fields(request.body))
        return 200, self.known[workspace]

    @route("DELETE", BASE + "/{workspace}")
    async def delete(self, request: Request, workspace: str) -> Answer:
        self._own(workspace)
        del self.known[workspace], self.parts[workspace]
        return 204, None

    @route("GET", BASE + "/{workspace}/{kind}")
    async def list_parts(self, request: Request, workspace: str, kind: str) -> Answer:
        return 200, self._page(request, kind, self._own(workspace, kind))

    @route("POST", BASE + "/{workspace}/{kind}")
    async def create_part(self, request: Request, workspace: str, kind: str) -> Answer:
        """Names are unique among the queues, and among the workflows, of a workspace."""
        known, wanted = self._own(workspace, kind), fields(request.body)
        if not wanted.get("friendly_name") or any(
            each["friendly_name"] == wanted["friendly_name"] for each in known.values()
        ):
            raise Refused("FriendlyName is needed, and nothing else may have it")
        self._check(workspace, kind, wanted)
        defaults: dict[str, Any] = {
            "TaskQueues": {"target_workers": "1 == 1", "max_reserved_workers": 1, "task_order": "FIFO"},
            "Workflows": {"assignment_callback_url": "", "task_reservation_timeout": 120},
            "Activities": {"available": False},
        }
        return 201, self.part(workspace, kind, {**defaults[kind], **wanted})

    @route("GET", BASE + "/{workspace}/{kind}/{number}")
    async def fetch_part(self, request: Request, workspace: str, kind: str, number: str) -> Answer:
        return 200, self._part(workspace, kind, number)

    @route("POST", BASE + "/{workspace}/{kind}/{number}")
    async def update_part(self, request: Request, workspace: str, kind: str, number: str) -> Answer:
        part, wanted = self._part(workspace, kind, number), fields(request.body)
        self._check(workspace, kind, wanted)
        part.update(wanted)
        return 200, part

    @route("DELETE", BASE + "/{workspace}/{kind}/{number}")
    async def delete_part(self, request: Request, workspace: str, kind: str, number: str) -> Answer:
        self._part(workspace, kind, number)
        used = [each["configuration"] for each in self.parts[workspace]["Workflows"].values()]
        if kind == "TaskQueues" and any(number in configuration for configuration in used):
            raise Refused(f"{number} is used by a workflow")
        del self.parts[workspace][kind][number]
        return 204, None

    def _own(self, workspace: str, kind: str = "Workflows") -> dict[str, dict[str, Any]]:
        if workspace not in self.known or kind not in KINDS:
            raise NotFound(f"{workspace} was not found")
        return self.parts[workspace][kind]

    def _part(self, workspace: str, kind: str, number: str) -> dict[str, Any]:
        own = self._own(workspace, kind)
        if number not in own:
            raise NotFound(f"{number} was not found")
        return own[number]

    def _check(self, workspace: str, kind: str, wanted: dict[str, Any]) -> None:
        """A workflow names queues of its workspace."""
        if kind == "Workflows" and "configuration" in wanted:
            json.loads(wanted["configuration"])
            unknown = (
                set(re.findall("WQ[0-9a-f]{32}", wanted["configuration"])) - self.parts[workspace]["TaskQueues"].keys()
            )
            if unknown:
                raise Refused(f"there is no queue {', '.join(unknown)}")

    def _page(self, request: Request, kind: str, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
        size, number = int(request.query.get("PageSize", self.page_size)), int(request.query.get("Page", 0))
        key, url = KEYS[kind], f"https://{self.host}{request.path}?PageSize={size}&Page="
        wanted, queue = request.query.get("FriendlyName"), request.query.get("TaskQueueSid")
        found = [each for each in known.values() if wanted in (None, each["friendly_name"])]
        found = [each for each in found if queue is None or queue in each["queues"]]  # expressions are not evaluated
        following = f"{url}{number + 1}&PageToken=PT{number}" if len(found) > (number + 1) * size else None
        return {
            key: found[number * size : (number + 1) * size],
            "meta": {
                "key": key,
                "page": number,
                "page_size": size,
                "url": f"{url}{number}",
                "next_page_url": following,
            },
        }


def fields(form: dict[str, str]) -> dict[str, Any]:
    """FriendlyName -> friendly_name."""
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): value for name, value in form.items()}
