"""Conversation configurations (Conversations v2, control plane). Ids in them are taken as they come, right or wrong.

A new one cannot be seen at once.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.operations import TAKES, Operations
from kit.simulated_twilio.product import Answer, NotFound, Product, Refused, Request, identifier, page, route

BASE = "/v2/ControlPlane/Configurations"
GROUPINGS = {
    "GROUP_BY_PROFILE",
    "GROUP_BY_PARTICIPANT_ADDRESSES",
    "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE",
}
CHANNELS = {"VOICE", "SMS", "RCS", "WHATSAPP", "CHAT"}
FIELDS = {
    "displayName",
    "description",
    "conversationGroupingType",
    "memoryStoreId",
    "memoryExtractionEnabled",
    "channelSettings",
    "statusCallbacks",
    "intelligenceConfigurationIds",
    "conversationsV1Bridge",
}
LISTED = {"id", "displayName", "description", "createdAt", "updatedAt", "version"}


@dataclass
class Configurations(Product):
    """`known` maps ids to configurations."""

    host = "conversations.twilio.com"
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    visible: dict[str, float] = field(default_factory=dict)  # from when on
    page_size: int = 50
    made: int = 0

    def __post_init__(self) -> None:
        self.operations = Operations("/v2/ControlPlane/Operations", self.pace)

    def has(self, id: str, **fields: Any) -> dict[str, Any]:
        """A configuration that has been there for long."""
        self.known[id] = {
            "id": id,
            "accountId": ACCOUNT_SID,
            "displayName": "simulated",
            "description": "simulated",
            "conversationGroupingType": "GROUP_BY_PROFILE",
            "memoryStoreId": "",
            "memoryExtractionEnabled": False,
            "channelSettings": {},
            "statusCallbacks": [],
            "intelligenceConfigurationIds": [],
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z",
            "version": 1,
            **fields,
        }
        return self.known[id]

    @route("POST", BASE)
    async def create(self, request: Request) -> Answer:
        """The id is in the result of the operation only."""
        wanted = request.body
        for name in ("displayName", "description", "conversationGroupingType", "memoryStoreId"):
            if not wanted.get(name):
                raise Refused(f"{name} is needed")
        if problem := wrong(wanted):
            raise Refused(problem)
        self.made += 1
        id = identifier("conv_configuration", self.made)
        if not self.operations.fails:
            self.has(id, **wanted)
            self.visible[id] = time.monotonic() + TAKES / self.pace
        return self.operations.begin(related={"configurationId": id})

    @route("GET", BASE)
    async def list(self, request: Request) -> Answer:
        """Lists hold partial objects."""
        wanted = request.query.get("memoryStoreId")
        seen = [each for id, each in self.known.items() if time.monotonic() >= self.visible.get(id, 0)]
        found = [each for each in seen if wanted in (None, each["memoryStoreId"])]
        partial = [{name: value for name, value in each.items() if name in LISTED} for each in found]
        return 200, page(request, "configurations", partial, self.page_size)

    @route("GET", BASE + "/{id}")
    async def fetch(self, request: Request, id: str) -> Answer:
        return 200, self._get(id)

    @route("PATCH", BASE + "/{id}")
    async def patch(self, request: Request, id: str) -> Answer:
        """Channels are merged, and one that is null is removed; everything else is replaced."""
        known, wanted = self._get(id), dict(request.body)
        if (
            wanted.get("conversationGroupingType", known["conversationGroupingType"])
            != known["conversationGroupingType"]
        ):
            raise Refused("conversationGroupingType cannot be changed")
        if problem := wrong(wanted):
            raise Refused(problem)
        channels = {**known["channelSettings"], **wanted.pop("channelSettings", {})}
        known.update(wanted)
        known["channelSettings"] = {name: value for name, value in channels.items() if value is not None}
        known["version"] += 1
        return self.operations.begin(related={"configurationId": id})

    @route("PUT", BASE + "/{id}")
    async def replace(self, request: Request, id: str) -> Answer:
        """Whatever is not in it is gone."""
        known = self._get(id)
        if request.body.get("conversationGroupingType") != known["conversationGroupingType"]:
            raise Refused("conversationGroupingType cannot be changed")
        if problem := wrong(request.body):
            raise Refused(problem)
        self.has(id, **{**request.body, "version": known["version"] + 1})
        return self.operations.begin(related={"configurationId": id})

    @route("DELETE", BASE + "/{id}")
    async def delete(self, request: Request, id: str) -> Answer:
        del self.known[self._get(id)["id"]]
        return self.operations.begin(related={"configurationId": id})

    @route("GET", "/v2/ControlPlane/Operations/{id}")
    async def operation(self, request: Request, id: str) -> Answer:
        return self.operations.fetch(id)

    def _get(self, id: str) -> dict[str, Any]:
        if id not in self.known or time.monotonic() < self.visible.get(id, 0):
            raise NotFound(f"{id} was not found")
        return self.known[id]


def wrong(wanted: dict[str, Any]) -> str:
    """What the API would refuse. A memory store or an intelligence configuration that does not exist is not."""
    if unknown := wanted.keys() - FIELDS:
        return f"unknown: {', '.join(sorted(unknown))}"
    if not re.fullmatch(r"[a-zA-Z0-9\-_ ]{1,32}", wanted.get("displayName", "agent")):
        return "displayName must have 1 to 32 letters, digits, hyphens, underscores and spaces"
    if wanted.get("conversationGroupingType", "GROUP_BY_PROFILE") not in GROUPINGS:
        return "conversationGroupingType is unknown"
    if len(wanted.get("intelligenceConfigurationIds", [])) > 5 or len(wanted.get("statusCallbacks", [])) > 20:
        return "5 intelligence configurations and 20 status callbacks at most"
    if not all(str(each.get("url", "")).startswith("https://") for each in wanted.get("statusCallbacks", [])):
        return "a status callback needs a public https address"
    for channel, settings in wanted.get("channelSettings", {}).items():
        rules = (settings or {}).get("captureRules") or []
        if channel not in CHANNELS or len(rules) > 100:
            return f"channelSettings: {channel}"
        if any(not each.get("from") or not each.get("to") or each["from"] == each["to"] for each in rules):
            return "a capture rule has from and to, and not * for both"
    return ""
