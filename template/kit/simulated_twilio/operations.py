"""Resources whose writes are operations: Twilio responds with 202 and does the work afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from kit.simulated_twilio.product import Answer, Product, Request, get, identifier, route

OPERATION_TIME = 2.0  # seconds; a new resource is readable at the end of its operation


@dataclass
class ControlPlane(Product):
    """`records` maps ids to resources. New operations fail with `operation_error`, unless it is empty."""

    version: ClassVar[str] = "v1"
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    operation_error: str = ""
    operations: dict[str, tuple[float, dict[str, Any]]] = field(default_factory=dict)  # end time and outcome, by id
    readable_at: dict[str, float] = field(default_factory=dict)  # by id; a resource without an entry can always be read
    created: int = 0

    def new_id(self, kind: str) -> str:
        """The id of a resource that is about to be created."""
        self.created += 1
        id = identifier(kind, self.created)
        self.readable_at[id] = self.clock.now() + OPERATION_TIME
        return id

    def begin(self, **outcome: Any) -> Answer:
        """202 with the address to poll. `outcome` joins the response once the operation is done."""
        id = identifier("operation", len(self.operations) + 1)
        error = {"status": "FAILED", "error": self.operation_error}
        ended = error if self.operation_error else {"status": "COMPLETED", **outcome}
        self.operations[id] = self.clock.now() + OPERATION_TIME, ended
        return 202, {"message": "accepted", "statusUrl": self._url(id)}

    @route("GET", "/v[12]/ControlPlane/Operations/{id}")
    async def operation(self, request: Request, id: str) -> Answer:
        done_at, ended = get(self.operations, id)
        own = {"operationId": id, "createdAt": "2026-01-01T00:00:00Z"}
        if self.clock.now() < done_at:
            return 200, {**own, "status": "PENDING", "statusUrl": self._url(id)}
        return 200, {**own, "completedAt": "2026-01-01T00:00:02Z", **ended}

    def readable(self) -> dict[str, dict[str, Any]]:
        now = self.clock.now()
        return {id: each for id, each in self.records.items() if now >= self.readable_at.get(id, 0)}

    def get(self, id: str) -> dict[str, Any]:
        """A resource that can be read by now. Raises NotFound."""
        return get(self.readable(), id)

    def _url(self, id: str) -> str:
        return f"https://{self.host}/{self.version}/ControlPlane/Operations/{id}"
