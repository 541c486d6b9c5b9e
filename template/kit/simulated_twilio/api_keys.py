"""API keys of the account (api.twilio.com, 2010-04-01). A new key works at once, one that was deleted no longer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kit.simulated_twilio.numbers import ACCOUNT
from kit.simulated_twilio.product import Answer, Product, Request, get, route, sid, timestamp


@dataclass
class ApiKeys(Product):
    """`records` maps SIDs to keys. `accepted` has the pairs of user and password that the account takes."""

    host = "api.twilio.com"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    accepted: set[str] = field(default_factory=set)

    def add(self, key: str, secret: str) -> dict[str, Any]:
        """A key of the account."""
        self.records[key] = {"sid": key, "friendly_name": "", "date_created": timestamp(), "date_updated": timestamp()}
        self.accepted.add(f"{key}:{secret}")
        return self.records[key]

    @route("POST", ACCOUNT + "/Keys.json")
    async def create(self, request: Request, account: str) -> Answer:
        """The only response with the secret."""
        key, secret = sid("SK"), sid("")
        return 201, {**self.add(key, secret), "friendly_name": request.body.get("FriendlyName", ""), "secret": secret}

    @route("GET", ACCOUNT + "/Keys/{key}.json")
    async def fetch(self, request: Request, account: str, key: str) -> Answer:
        return 200, get(self.records, key)

    @route("DELETE", ACCOUNT + "/Keys/{key}.json")
    async def delete(self, request: Request, account: str, key: str) -> Answer:
        get(self.records, key)
        del self.records[key]
        self.accepted -= {pair for pair in self.accepted if pair.startswith(f"{key}:")}
        return 204, None
