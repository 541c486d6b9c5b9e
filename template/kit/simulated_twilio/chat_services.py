"""Services of Conversations (classic), which chats belong to (conversations.twilio.com, v1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.product import Answer, BadRequest, Product, Request, get, route, sid

BASE = "/v1/Services"


@dataclass
class ChatServices(Product):
    """`records` maps SIDs to services."""

    host = "conversations.twilio.com"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str) -> dict[str, Any]:
        service = {"sid": sid("IS"), "account_sid": ACCOUNT_SID, "friendly_name": name}
        self.records[service["sid"]] = service
        return service

    @route("GET", BASE)
    async def list(self, request: Request) -> Answer:
        found, place, following = self.numbered_page(request, [*self.records.values()])
        url = following and f"https://{self.host}{request.path}{following}"
        return 200, {"services": found, "meta": {"key": "services", **place, "next_page_url": url}}

    @route("POST", BASE)
    async def create(self, request: Request) -> Answer:
        if not request.body.get("FriendlyName"):
            raise BadRequest("FriendlyName is needed")
        return 201, self.add(request.body["FriendlyName"])

    @route("GET", BASE + "/{service}")
    async def fetch(self, request: Request, service: str) -> Answer:
        return 200, get(self.records, service)

    @route("DELETE", BASE + "/{service}")
    async def delete(self, request: Request, service: str) -> Answer:
        del self.records[get(self.records, service)["sid"]]
        return 204, None
