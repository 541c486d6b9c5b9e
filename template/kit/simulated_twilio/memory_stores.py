"""The memory stores of the account (Conversation Memory v1, control plane). A new one cannot be seen at once."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

from kit.simulated_twilio.operations import TAKES, Operations
from kit.simulated_twilio.product import Answer, NotFound, Product, Refused, Request, identifier, page, route

BASE = "/v1/ControlPlane/Stores"
LIMIT = 5  # stores of an account. Source: https://www.twilio.com/docs/conversations/memory/limits


@dataclass
class Stores(Product):
    """`known` maps ids to stores. `made` numbers them; `activates` is whether a new one ever becomes ACTIVE."""

    host = "memory.twilio.com"
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    activates: bool = True
    page_size: int = 50
    made: int = 0

    def __post_init__(self) -> None:
        self.operations = Operations("https://memory.twilio.com/v1/ControlPlane/Operations", self.pace)

    def has(self, id: str, name: str = "simulated", status: str = "ACTIVE") -> dict[str, Any]:
        """A store that has been there for long."""
        self.known[id] = {"id": id, "displayName": name, "description": name, "status": status, "version": 1}
        return self.known[id]

    def active(self, id: str) -> bool:
        return id in self.known and self._visible(id) and self._seen(id)["status"] == "ACTIVE"

    @route("POST", BASE)
    async def create(self, request: Request) -> Answer:
        name = request.body.get("displayName", "")
        if not re.fullmatch(r"[a-zA-Z0-9-]{1,64}", name):
            raise Refused("displayName must have letters, digits and hyphens")
        if len(self.known) >= LIMIT:
            return 400, {"code": 520044, "message": "Memory store limit reached", "status": 400}
        self.made += 1
        store = self.has(identifier("mem_store", self.made), name, "QUEUED")
        store["description"] = request.body.get("description", "")
        store["visibleAt"] = time.monotonic() + TAKES / self.pace
        if self.activates:
            store["activeAt"] = time.monotonic() + 2 * TAKES / self.pace
        return self.operations.begin(result={"id": store["id"]}, resultUrl=f"https://{self.host}{BASE}/{store['id']}")

    @route("GET", BASE)
    async def list(self, request: Request) -> Answer:
        """Ids, and nothing but ids."""
        return 200, page(request, "stores", [id for id in self.known if self._visible(id)], self.page_size)

    @route("GET", BASE + "/{store}")
    async def fetch(self, request: Request, store: str) -> Answer:
        return 200, self._seen(store)

    @route("PATCH", BASE + "/{store}")
    async def patch(self, request: Request, store: str) -> Answer:
        self._get(store).update(request.body)
        return 200, self._seen(store)

    @route("DELETE", BASE + "/{store}")
    async def delete(self, request: Request, store: str) -> Answer:
        del self.known[self._get(store)["id"]]
        return self.operations.begin()

    @route("GET", "/v1/ControlPlane/Operations/{id}")
    async def operation(self, request: Request, id: str) -> Answer:
        return self.operations.fetch(id)

    def _get(self, store: str) -> dict[str, Any]:
        if store not in self.known or not self._visible(store):
            raise NotFound("the memory store does not exist (520041)")
        return self.known[store]

    def _seen(self, store: str) -> dict[str, Any]:
        known = self._get(store)
        if time.monotonic() >= known.get("activeAt", float("inf")):
            known["status"] = "ACTIVE"
            del known["activeAt"]
        return {name: value for name, value in known.items() if not name.endswith("At")}

    def _visible(self, id: str) -> bool:
        return time.monotonic() >= float(self.known[id].get("visibleAt", 0))
