"""`<Dial>`: a call waits in it until `simulate` says what became of it. Nobody is called.

Source: https://www.twilio.com/docs/voice/twiml/dial (2026-11-29).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kit.simulated_twilio.product import Product, sid

if TYPE_CHECKING:
    from kit.caller import Call

RESULTS = ("completed", "answered", "busy", "no-answer", "failed", "canceled")


@dataclass
class Dial(Product):
    """Phone numbers that TwiML calls."""

    setting = "fallback_number"

    async def simulate(self, call: Call, event: Any) -> None:
        """The end of a <Dial>: a value of DialCallStatus. Raises ValueError for anything else, or without a <Dial>."""
        if event not in RESULTS:
            raise ValueError(f"a dialed call cannot be {event!r}; it can be {', '.join(RESULTS)}")
        dialed, call.dialed = getattr(call, "dialed", None), None
        if dialed is None:
            raise ValueError("this call is not in <Dial>")
        duration = {"DialCallDuration": "7"} if event in ("completed", "answered") else {}
        if dialed.action:
            more = {"DialCallStatus": event, "DialCallSid": sid("CA"), "CallStatus": "in-progress", **duration}
            await call.goes_on(await call.fetch(dialed.action, **more))
        if duration and call.ended_by == "agent":
            call.ended_by = "human"
