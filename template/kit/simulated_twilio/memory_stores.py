"""The memory stores of the account (Conversation Memory v1, control plane)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from kit.simulated_twilio.operations import OPERATION_TIME, ControlPlane
from kit.simulated_twilio.product import Answer, ApiError, BadRequest, NotFound, Request, route

BASE = "/v1/ControlPlane/Stores"
LIMIT = 5  # stores of an account. Source: https://www.twilio.com/docs/conversations/memory/limits


@dataclass
class MemoryStores(ControlPlane):
    """New stores become ACTIVE, unless `activates` is false."""

    host = "memory.twilio.com"
    activates: bool = True
    active_at: dict[str, float] = field(default_factory=dict)  # by id, of stores that are not active yet

    def add(self, id: str, name: str = "simulated", status: str = "ACTIVE") -> dict[str, Any]:
        """A store that can be read at once."""
        self.records[id] = {"id": id, "displayName": name, "description": name, "status": status, "version": 1}
        return self.records[id]

    def active(self, id: str) -> bool:
        return id in self.readable() and self.get(id)["status"] == "ACTIVE"

    def get(self, id: str) -> dict[str, Any]:
        try:
            store = super().get(id)
        except NotFound:
            raise ApiError(404, "the memory store does not exist (520041)") from None
        if self.clock.now() >= self.active_at.get(id, float("inf")):
            store["status"] = "ACTIVE"
            del self.active_at[id]
        return store

    @route("POST", BASE)
    async def create(self, request: Request) -> Answer:
        name = request.body.get("displayName", "")
        if not re.fullmatch(r"[a-zA-Z0-9-]{1,64}", name):
            raise BadRequest("displayName must have letters, digits and hyphens")
        if len(self.records) >= LIMIT:
            raise BadRequest("Memory store limit reached", 520044)
        id = self.new_id("mem_store")
        self.add(id, name, "QUEUED")["description"] = request.body.get("description", "")
        if self.activates:
            self.active_at[id] = self.clock.now() + 2 * OPERATION_TIME
        return self.begin(result={"id": id}, resultUrl=f"https://{self.host}{BASE}/{id}")

    @route("GET", BASE)
    async def list(self, request: Request) -> Answer:
        """The list holds ids, not objects."""
        return 200, self.page(request, "stores", self.readable())

    @route("GET", BASE + "/{store}")
    async def fetch(self, request: Request, store: str) -> Answer:
        return 200, self.get(store)

    @route("PATCH", BASE + "/{store}")
    async def patch(self, request: Request, store: str) -> Answer:
        found = self.get(store)
        found.update(request.body)
        return 200, found

    @route("DELETE", BASE + "/{store}")
    async def delete(self, request: Request, store: str) -> Answer:
        del self.records[self.get(store)["id"]]
        return self.begin()
