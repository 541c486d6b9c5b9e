"""Conversation Orchestrator (Conversations v2)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from sim.cloud.core import Answer, NotFound, Product, Request, route

VISIBLE_AFTER = 2.0  # seconds; 1 to 4 were measured


def identifier(kind: str, number: int) -> str:
    """An id of Twilio's shape: a kind and 26 characters."""
    return f"{kind}_{number:026d}"


@dataclass
class Conversations(Product):
    """`known` maps ids to conversations; one that began just now is not listed yet."""

    host = "conversations.twilio.com"
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    people: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def begin(self, configuration: str, channel: str, channel_id: str, customer: str, agent: str) -> str:
        """A conversation begins. Returns its id."""
        known = [each["id"] for each in self.known.values() if each["channelId"] == channel_id]
        if known:
            return str(known[0])
        number = len(self.known) + 1
        conversation = identifier("conv_conversation", number)
        self.known[conversation] = {
            "id": conversation,
            "configurationId": configuration,
            "status": "ACTIVE",
            "channelId": channel_id,
            "visibleAt": asyncio.get_running_loop().time() + VISIBLE_AFTER / self.pace,
        }
        self.people[conversation] = [
            {
                "id": identifier("conv_participant", 10 * number + index),
                "conversationId": conversation,
                "type": kind,
                "profileId": None,
                "addresses": [{"channel": channel, "address": address, "channelId": channel_id}],
            }
            for index, (kind, address) in enumerate([("CUSTOMER", customer), ("AI_AGENT", agent)])
        ]
        return conversation

    def of(self, channel_id: str) -> dict[str, Any]:
        """The conversation of a call."""
        return next(each for each in self.known.values() if each["channelId"] == channel_id)

    @route("GET", "/v2/Conversations")
    async def list(self, request: Request) -> Answer:
        """Lists hold partial objects."""
        now = asyncio.get_running_loop().time()
        found = [
            {name: each[name] for name in ("id", "status")}
            for each in self.known.values()
            if now >= each["visibleAt"]
            and each["channelId"] == request.query.get("channelId", each["channelId"])
            and each["status"] == request.query.get("status", each["status"])
        ]
        return 200, {"conversations": found, "meta": {"key": "conversations", "pageSize": 50}}

    @route("GET", "/v2/Conversations/{conversation}")
    async def fetch(self, request: Request, conversation: str) -> Answer:
        return 200, self._get(conversation)

    @route("PATCH", "/v2/Conversations/{conversation}")
    @route("PUT", "/v2/Conversations/{conversation}")
    async def change(self, request: Request, conversation: str) -> Answer:
        self._get(conversation).update(request.body)
        return 200, self._get(conversation)

    @route("GET", "/v2/Conversations/{conversation}/Participants")
    async def participants(self, request: Request, conversation: str) -> Answer:
        self._get(conversation)
        return 200, {"participants": self.people[conversation], "meta": {"key": "participants", "pageSize": 50}}

    def _get(self, conversation: str) -> dict[str, Any]:
        if conversation not in self.known:
            raise NotFound(f"{conversation} was not found")
        return self.known[conversation]
