"""Voice Insights (insights.twilio.com, v1): settings of the account, summaries of calls, and events of a call.

Sources: https://www.twilio.com/docs/voice/voice-insights/api/call (summary, events, details-conversation-relay-events)
and /docs/events/event-types/voice-insights/call-summary, read on 2026-11-29. Without Advanced Features, requests for a
call are answered with 404.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kit.defaults import ACCOUNT_SID
from kit.simulated_twilio.events import EventStreams
from kit.simulated_twilio.product import Answer, NotFound, Product, Request, get, route, timestamp

CALL = "/v1/Voice/{call}"
SUMMARY = "com.twilio.voice.insights.call-summary.complete"


@dataclass
class Insights(Product):
    """`summaries` and `call_events` are by CallSid."""

    host = "insights.twilio.com"
    setting = "insights_delay"
    events: EventStreams | None = None
    advanced_features: bool = True
    summaries: dict[str, dict[str, Any]] = field(default_factory=dict)
    call_events: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def relay_event(self, call_sid: str, name: str, **details: Any) -> None:
        """An event of ConversationRelay, as in `stt_latency={"latency_ms": 80}`."""
        known = self.call_events.setdefault(call_sid, [])
        relay = {"session_id": "VX" + "0" * 32, "sequence_number": len(known) + 1, **details}
        self._add_event(call_sid, "conversation_relay", name, relay)

    def _add_event(self, call_sid: str, group: str, name: str, relay: dict[str, Any] | None) -> None:
        self.call_events.setdefault(call_sid, []).append(
            {
                "timestamp": timestamp(),
                "call_sid": call_sid,
                "account_sid": ACCOUNT_SID,
                "edge": "carrier_edge",
                "group": group,
                "level": "INFO",
                "name": name,
                "carrier_edge": None,
                "conversation_relay_data": relay,
            }
        )

    def summarize(self, call: Any, **changes: Any) -> dict[str, Any]:
        """The summary of a call. `changes` are fields that differ from those of a call without problems."""
        person = {"caller": call.caller, "number_prefix": call.caller[:4], "city": "New York", "carrier": "Verizon"}
        quality = {"packets_received": 900, "packet_loss_percentage": 0.0, "jitter": {"avg": 1.5, "max": 4.2}}
        self.summaries[call.sid] = {
            "call_sid": call.sid,
            "account_sid": ACCOUNT_SID,
            "call_type": "carrier",
            "call_state": "completed",
            "processing_state": "complete",
            "created_time": timestamp(),
            "start_time": timestamp(),
            "end_time": timestamp(),
            "duration": 17,
            "connect_duration": 15,
            "from": person,
            "to": {"callee": call.called, "connection": "twilio_sdk"},
            "carrier_edge": {
                "metrics": {"inbound": quality, "outbound": quality},
                "properties": {"direction": "inbound"},
            },
            "tags": [],
            "properties": {
                "last_sip_response_num": 200,
                "pdd_ms": 310,
                "disconnected_by": "caller",
                "direction": "inbound",
            },
            "trust": {},
            **changes,
        }
        return self.summaries[call.sid]

    async def simulate(self, customer: Any, event: Any) -> None:
        """Summarize this call and send the summary over Event Streams, `repeat` times. `event` has fields of it."""
        fields = dict(event or {})
        repeat = fields.pop("repeat", 1)
        summary = self.summarize(customer, **fields)
        if self.events:
            self.events.subscribe_once()
            await self.events.send(customer, SUMMARY, summary, repeat=repeat)

    @route("GET", "/v1/Voice/Settings")
    async def settings(self, request: Request) -> Answer:
        own = {"account_sid": ACCOUNT_SID, "advanced_features": self.advanced_features, "voice_trace": False}
        return 200, {**own, "url": f"https://{self.host}{request.path}"}

    @route("GET", CALL + "/Summary")
    async def summary(self, request: Request, call: str) -> Answer:
        self._check(call)
        return 200, get(self.summaries, call)

    @route("GET", CALL + "/Events")
    async def list_events(self, request: Request, call: str) -> Answer:
        self._check(call)
        found, place, following = self.numbered_page(request, get(self.call_events, call))
        url = following and f"https://{self.host}{request.path}{following}"
        return 200, {"events": found, "meta": {"key": "events", **place, "next_page_url": url}}

    def _check(self, call: str) -> None:
        if not self.advanced_features:
            raise NotFound(call)
