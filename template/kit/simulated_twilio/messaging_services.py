"""Messaging Services, their numbers and their registration (messaging.twilio.com, v1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.product import Answer, Product, Request, get, route, sid

BASE = "/v1/Services"


@dataclass
class MessagingServices(Product):
    """`records` maps SIDs to services; `numbers` and `campaigns` belong to a service. The account has one.

    `verifications` are those of toll-free numbers.
    """

    host = "messaging.twilio.com"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    numbers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    campaigns: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    verifications: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add("PN" + f"{1:032x}", "VERIFIED")

    def add(self, number: str, status: str) -> str:
        """A service with a number, by its SID, and an A2P campaign of that status. Returns its SID."""
        service = sid("MG")
        self.records[service] = {"sid": service, "account_sid": ACCOUNT_SID, "friendly_name": "Simulated"}
        self.numbers[service] = [{"sid": number, "account_sid": ACCOUNT_SID, "service_sid": service}]
        self.campaigns[service] = [{"sid": sid("QE"), "messaging_service_sid": service, "campaign_status": status}]
        return service

    @route("GET", BASE)
    async def list(self, request: Request) -> Answer:
        return 200, self._page(request, "services", [*self.records.values()])

    @route("GET", BASE + "/{service}/PhoneNumbers")
    async def list_numbers(self, request: Request, service: str) -> Answer:
        return 200, self._page(request, "phone_numbers", get(self.numbers, service))

    @route("GET", BASE + "/{service}/Compliance/Usa2p")
    async def list_campaigns(self, request: Request, service: str) -> Answer:
        return 200, self._page(request, "compliance", get(self.campaigns, service))

    @route("GET", "/v1/Tollfree/Verifications")
    async def list_verifications(self, request: Request) -> Answer:
        wanted = request.query.get("TollfreePhoneNumberSid")
        found = [each for each in self.verifications if each["tollfree_phone_number_sid"] == wanted]
        return 200, self._page(request, "verifications", found)

    def _page(self, request: Request, key: str, records: Any) -> dict[str, Any]:
        found, place, following = self.numbered_page(request, records)
        url = following and f"https://{self.host}{request.path}{following}"
        return {key: found, "meta": {"key": key, **place, "next_page_url": url}}
