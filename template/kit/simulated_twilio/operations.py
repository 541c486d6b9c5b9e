"""Work that Twilio answers with 202 and does afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from kit.simulated_twilio.product import Answer, NotFound, identifier

TAKES = 2.0  # seconds


@dataclass
class Operations:
    """`fails` is the error with which the next ones end, instead of being done."""

    url: str
    pace: float
    fails: str = ""
    known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def begin(self, **outcome: Any) -> Answer:
        """202 with the address to poll. `outcome` joins the answer once it is done."""
        id = identifier("operation", len(self.known) + 1)
        ended = {"status": "FAILED", "error": self.fails} if self.fails else {"status": "COMPLETED", **outcome}
        self.known[id] = {"done": time.monotonic() + TAKES / self.pace, "ended": ended}
        return 202, {"message": "accepted", "statusUrl": f"{self.url}/{id}"}

    def fetch(self, id: str) -> Answer:
        if id not in self.known:
            raise NotFound(f"operation {id} was not found")
        operation, own = self.known[id], {"operationId": id, "createdAt": "2026-01-01T00:00:00Z"}
        if time.monotonic() < operation["done"]:
            return 200, {**own, "status": "PENDING", "statusUrl": f"{self.url}/{id}"}
        return 200, {**own, "completedAt": "2026-01-01T00:00:02Z", **operation["ended"]}
