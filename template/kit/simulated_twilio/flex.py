"""Twilio Flex: an Interaction makes a task of a conversation in writing, and TaskRouter tells what becomes of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2

from kit.defaults import Problem
from kit.simulated_twilio.product import Answer, NotFound, Product, Request, route
from kit.simulated_twilio.taskrouter import EVENTS, TTL, WORKSPACE, TaskRouter, form_of, sid

TYPES = {"sms", "whatsapp", "web", "chat", "email", "messenger", "gbm"}
PROPERTIES = {
    "workspace_sid",
    "workflow_sid",
    "queue_sid",
    "worker_sid",
    "task_channel_sid",
    "task_channel_unique_name",
    "attributes",
    "priority",
    "timeout",
}
PATIENCE = 30.0  # seconds


@dataclass
class Flex(Product):
    """`subscriber` takes the events of TaskRouter, as signed forms."""

    host = "flex-api.twilio.com"
    taskrouter: TaskRouter = field(default_factory=TaskRouter)
    interactions: dict[str, dict[str, Any]] = field(default_factory=dict)
    subscriber: Callable[[str, dict[str, str]], Awaitable[httpx2.Response]] | None = None
    deliveries: set[asyncio.Task[None]] = field(default_factory=set)

    @route("POST", "/v1/Interactions")
    async def create(self, request: Request) -> Answer:
        """What the documentation requires, and no more: the real one finds some mistakes only when the task is made."""
        channel, routing = json.loads(request.body["Channel"]), json.loads(request.body.get("Routing", "null"))
        if reason := wrong(channel, routing):
            return 400, {"code": 20001, "message": reason, "status": 400}
        properties, number = routing["properties"], sid("KD")
        media = channel.get("properties", {}).get("media_channel_sid") or sid("CH")
        added = {
            "channelType": channel["type"],
            "conversationSid": media,
            "flexInteractionSid": number,
            "flexInteractionChannelSid": sid("UO"),
            "initiatedBy": channel["initiated_by"],
            "direction": "inbound",
        }
        task = self.taskrouter.create(
            properties["workflow_sid"],
            {**properties["attributes"], **added},
            properties.get("priority", 0),
            properties.get("timeout"),
            properties["task_channel_unique_name"],
        )
        self.interactions[number] = interaction = {
            "sid": number,
            "channel": channel,
            "routing": {"reservation": None, "properties": {**task, "workspace_sid": properties["workspace_sid"]}},
            "interaction_context_sid": None,
            "webhook_ttid": None,
            "url": f"https://{self.host}/v1/Interactions/{number}",
            "links": {"channels": f"https://{self.host}/v1/Interactions/{number}/Channels"},
        }
        self._later(self._tell(task, "task.created", "task-queue.entered"))
        return 200, interaction

    @route("GET", "/v1/Interactions/{number}")
    async def fetch(self, request: Request, number: str) -> Answer:
        if number not in self.interactions:
            raise NotFound(f"{number} was not found")
        return 200, self.interactions[number]

    # --- what becomes of a task --------------------------------------------------------------------------------

    @property
    def task(self) -> dict[str, Any] | None:
        """The latest that a human could take, or has."""
        made = [each["routing"]["properties"]["sid"] for each in self.interactions.values()]
        tasks = [self.taskrouter.tasks[number] for number in made]
        return next((each for each in reversed(tasks) if each["assignment_status"] in ("pending", "assigned")), None)

    async def becomes(self, event: str) -> None:
        """The latest task is accepted, completed, or cancelled because nobody came. Raises ValueError without one."""
        known = {
            "accepted": ("assigned", ["reservation.accepted"], {"ReservationSid": sid("WR"), "WorkerName": "Alice"}),
            "completed": ("completed", ["reservation.completed", "task.completed"], {}),
            "nobody": ("canceled", ["workflow.timeout", "task.canceled"], {"TaskCanceledReason": TTL}),
        }
        if event not in known:
            raise ValueError(f"a task of Flex cannot be {event!r}; it can be {', '.join(known)}")
        if (task := self.task) is None:
            raise ValueError("no conversation waits for a human in Flex")
        task["assignment_status"], events, more = known[event]
        await self.delivered()
        await self._tell(task, *events, **more)

    async def happens(self, somebody: Any, event: Any) -> None:
        """As `becomes`. When nobody comes, the customer must be told. Raises Problem otherwise."""
        sent = somebody.account.conversations.sent
        count = len(sent)
        await self.becomes(event)
        try:
            async with asyncio.timeout(PATIENCE):
                while event == "nobody" and len(sent) == count:
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise Problem("nobody comes, and the customer is not told") from None

    async def delivered(self) -> None:
        """Wait until all events have been sent."""
        if self.deliveries:
            await asyncio.wait(self.deliveries)

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.deliveries.add(task)
        task.add_done_callback(self.deliveries.discard)

    async def _tell(self, task: dict[str, Any], *events: str, **more: str) -> None:
        for event in events:
            form = form_of(event, task, **more)
            for _ in range(self.taskrouter.repeats):
                if self.subscriber:
                    await self.subscriber(EVENTS, form)


def wrong(channel: Any, routing: Any) -> str:
    """What the Interactions API would refuse.

    Source: https://www.twilio.com/docs/flex/developer/conversations/interactions-api/interactions
    """
    kind, by, people = channel.get("type"), channel.get("initiated_by"), channel.get("participants", [])
    properties = (routing or {}).get("properties", {})
    if kind not in TYPES or by not in ("customer", "agent", "api"):
        return "channel: type or initiated_by"
    media = channel.get("properties", {}).get("media_channel_sid", "")
    if by == "customer" and not media.startswith("CH"):
        return "media_channel_sid must be a conversation"
    if by == "api" and not (media or people):
        return "nobody to write to"
    needed = {"identity"} if kind in ("chat", "web") else {"address", "proxy_address"}
    if any(set(each) != needed for each in people) and kind != "email":
        return f"a participant has {', '.join(sorted(needed))}"
    if properties.get("workspace_sid") != WORKSPACE or not str(properties.get("workflow_sid", "")).startswith("WW"):
        return "routing: workspace_sid or workflow_sid"
    if unknown := set(properties) - PROPERTIES:
        return f"routing: {', '.join(unknown)}"
    return "" if isinstance(properties.get("attributes"), dict) else "routing: attributes"
