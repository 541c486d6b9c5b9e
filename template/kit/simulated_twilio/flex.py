"""Flex: an Interaction creates the task of a text conversation; TaskRouter sends its events."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx2

from app.capability import Background
from kit.activity import wait_until
from kit.simulated_twilio.product import Answer, BadRequest, Product, Request, get, route, sid
from kit.simulated_twilio.taskrouter import OUTCOMES, WORKSPACE, Post, TaskRouter

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


@dataclass
class Flex(Product):
    """`subscriber` takes the events of TaskRouter, as signed forms."""

    taskrouter: TaskRouter = field(kw_only=True)
    host = "flex-api.twilio.com"
    setting = "workspace_sid"
    interactions: dict[str, dict[str, Any]] = field(default_factory=dict)
    subscriber: Post | None = None
    deliveries: Background = field(default_factory=Background)

    @route("POST", "/v1/Interactions")
    async def create(self, request: Request) -> Answer:
        """Rejects requests that the documentation excludes. Twilio notices some others when it creates the task."""
        channel, routing = json.loads(request.body["Channel"]), json.loads(request.body.get("Routing", "null"))
        if reason := wrong(channel, routing):
            raise BadRequest(reason)
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
        self.deliveries.start(self.send(task, "task.created", "task-queue.entered"))
        return 200, interaction

    @route("GET", "/v1/Interactions/{number}")
    async def fetch(self, request: Request, number: str) -> Answer:
        return 200, get(self.interactions, number)

    # --- the life of a task -----------------------------------------------------------------------------------------

    @property
    def task(self) -> dict[str, Any] | None:
        """The latest task that waits for a worker or is assigned to one."""
        created = [each["routing"]["properties"]["sid"] for each in self.interactions.values()]
        tasks = [self.taskrouter.tasks[number] for number in created]
        return next((each for each in reversed(tasks) if each["assignment_status"] in ("pending", "assigned")), None)

    async def update_task(self, event: str) -> None:
        """The latest task is accepted, completed, or cancelled by its timeout (`no_worker`).

        Raises ValueError without a task.
        """
        if event not in (known := [each for each in OUTCOMES if each != "hangup"]):
            raise ValueError(f"a task of Flex cannot be {event!r}; it can be {', '.join(known)}")
        if (task := self.task) is None:
            raise ValueError("no conversation waits for a human in Flex")
        if self.deliveries:
            await asyncio.wait(self.deliveries)
        await self.taskrouter.settle(task, event, self._post)

    async def simulate(self, customer: Any, event: Any) -> None:
        """As `update_task`. Raises Problem when no worker comes and the customer gets no message."""
        sent = customer.account.conversations.sent
        count = len(sent)
        await self.update_task(event)
        if event == "no_worker":
            await wait_until(lambda: len(sent) > count, "no worker accepts, and the customer gets no message")

    async def send(self, task: dict[str, Any], *events: str) -> None:
        """Send event callbacks of a task."""
        await self.taskrouter.send(self._post, task, *events)

    async def _post(self, path: str, form: dict[str, str]) -> httpx2.Response | None:
        return await self.subscriber(path, form) if self.subscriber else None


def wrong(channel: Any, routing: Any) -> str:
    """Why the Interactions API refuses a request, or an empty text.

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
        return "neither media_channel_sid nor participants"
    needed = {"identity"} if kind in ("chat", "web") else {"address", "proxy_address"}
    if any(set(each) != needed for each in people) and kind != "email":
        return f"a participant has {', '.join(sorted(needed))}"
    if properties.get("workspace_sid") != WORKSPACE or not str(properties.get("workflow_sid", "")).startswith("WW"):
        return "routing: workspace_sid or workflow_sid"
    if unknown := set(properties) - PROPERTIES:
        return f"routing: {', '.join(unknown)}"
    return "" if isinstance(properties.get("attributes"), dict) else "routing: attributes"
