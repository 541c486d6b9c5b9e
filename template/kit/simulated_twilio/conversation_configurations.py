"""Conversation configurations (Conversations v2, control plane).

A memory store or an intelligence configuration that does not exist is accepted, as Twilio accepts it.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.chat_services import ChatServices
from kit.simulated_twilio.operations import ControlPlane
from kit.simulated_twilio.product import Answer, BadRequest, Clock, Request, get, route

BASE = "/v2/ControlPlane/Configurations"
GROUPINGS = {
    "GROUP_BY_PROFILE",
    "GROUP_BY_PARTICIPANT_ADDRESSES",
    "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE",
}
CHANNELS = {"VOICE", "SMS", "RCS", "WHATSAPP", "CHAT"}
BRIDGE = "conversationsV1Bridge"
DEFAULTS: dict[str, Any] = {
    "displayName": "simulated",
    "description": "simulated",
    "conversationGroupingType": "GROUP_BY_PROFILE",
    "memoryStoreId": "",
    "memoryExtractionEnabled": False,
    "channelSettings": {},
    "statusCallbacks": [],
    "intelligenceConfigurationIds": [],
    BRIDGE: None,
}
FIELDS = set(DEFAULTS)
LISTED = {"id", "displayName", "description", "createdAt", "updatedAt", "version"}


@dataclass
class ConversationConfigurations(ControlPlane):
    host = "conversations.twilio.com"
    version = "v2"
    chat_services: ChatServices = field(default_factory=lambda: ChatServices(Clock(1000.0)))

    def add(self, id: str, **fields: Any) -> dict[str, Any]:
        """A configuration that can be read at once."""
        self.records[id] = {
            "id": id,
            "accountId": ACCOUNT_SID,
            **deepcopy(DEFAULTS),
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z",
            "version": 1,
            **fields,
        }
        return self.records[id]

    @route("POST", BASE)
    async def create(self, request: Request) -> Answer:
        """The id is only in the result of the operation."""
        wanted = request.body
        for name in ("displayName", "description", "conversationGroupingType", "memoryStoreId"):
            if not wanted.get(name):
                raise BadRequest(f"{name} is needed")
        check(wanted)
        self._check_bridge(wanted)
        id = self.new_id("conv_configuration")
        if not self.operation_error:
            self.add(id, **wanted)
        return self.begin(related={"configurationId": id})

    @route("GET", BASE)
    async def list(self, request: Request) -> Answer:
        """The list holds partial objects."""
        wanted = request.query.get("memoryStoreId")
        found = [each for each in self.readable().values() if wanted in (None, each["memoryStoreId"])]
        partial = [{name: value for name, value in each.items() if name in LISTED} for each in found]
        return 200, self.page(request, "configurations", partial)

    @route("GET", BASE + "/{id}")
    async def fetch(self, request: Request, id: str) -> Answer:
        return 200, self.get(id)

    @route("PATCH", BASE + "/{id}")
    async def patch(self, request: Request, id: str) -> Answer:
        """Channels are merged, and a channel that is null is removed; every other field is replaced."""
        known, wanted = self.get(id), dict(request.body)
        check({"conversationGroupingType": known["conversationGroupingType"], **wanted}, known)
        self._check_bridge(wanted, id)
        channels = {**known["channelSettings"], **wanted.pop("channelSettings", {})}
        known.update(wanted)
        known["channelSettings"] = {name: value for name, value in channels.items() if value is not None}
        known["version"] += 1
        return self.begin(related={"configurationId": id})

    @route("PUT", BASE + "/{id}")
    async def replace(self, request: Request, id: str) -> Answer:
        """A field that is missing gets its default."""
        known = self.get(id)
        check(request.body, known)
        self._check_bridge(request.body, id)
        self.add(id, **{**request.body, "version": known["version"] + 1})
        return self.begin(related={"configurationId": id})

    @route("DELETE", BASE + "/{id}")
    async def delete(self, request: Request, id: str) -> Answer:
        del self.records[self.get(id)["id"]]
        return self.begin(related={"configurationId": id})

    def _check_bridge(self, wanted: dict[str, Any], id: str = "") -> None:
        """A service of Conversations (classic) is bridged to one configuration at most."""
        if bridge := wanted.get(BRIDGE):
            get(self.chat_services.records, bridge["serviceId"])
            if bridge in [each.get(BRIDGE) for other, each in self.records.items() if other != id]:
                raise BadRequest(f"{BRIDGE}: the service is bridged to another configuration")


def check(wanted: dict[str, Any], known: dict[str, Any] | None = None) -> None:
    """Raise BadRequest for a request that the API rejects: to create `wanted`, or to change `known` into it."""
    if known and wanted.get("conversationGroupingType") != known["conversationGroupingType"]:
        raise BadRequest("conversationGroupingType cannot be changed")
    if problem := problem_of(wanted):
        raise BadRequest(problem)


def problem_of(wanted: dict[str, Any]) -> str:
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
