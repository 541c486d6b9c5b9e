"""Event Streams (events.twilio.com, v1): sinks, their subscriptions, and the events that are sent to webhooks.

Sources: https://www.twilio.com/docs/events/event-streams (sink-resource, subscription) and
/docs/events/webhook-quickstart, read on 2026-11-29. A sink has one subscription, which is deleted before it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

import httpx2

from kit.defaults import ACCOUNT_SID, PUBLIC_URL, Problem
from kit.simulated_twilio.product import Answer, ApiError, BadRequest, Product, Request, get, route, sid, timestamp

PATH = "/webhooks/events"
SINKS, SUBSCRIPTIONS = "/v1/Sinks", "/v1/Subscriptions"
# Event types and the newest version of their schemas.
TYPES = {
    "com.twilio.error-logs.error.logged": 2,
    "com.twilio.voice.insights.call-summary.complete": 7,
    "com.twilio.voice.insights.call-summary.partial": 7,
}


class Receiver(Protocol):
    """A caller, or an author of messages, whose app gets the webhooks."""

    async def post_json(self, path: str, body: Any, token: str | None = None) -> httpx2.Response: ...


@dataclass
class EventStreams(Product):
    """`sinks` and `subscriptions` map SIDs to records; `types` of a subscription map event types to versions."""

    host = "events.twilio.com"
    setting = "twilio_event_level"
    sinks: dict[str, dict[str, Any]] = field(default_factory=dict)
    subscriptions: dict[str, dict[str, Any]] = field(default_factory=dict)
    types: dict[str, dict[str, int]] = field(default_factory=dict)

    def subscribe(self, destination: str = PUBLIC_URL + PATH, types: Mapping[str, int] = TYPES) -> str:
        """Add a webhook sink and its subscription. Returns the SID of the subscription."""
        return str(self._add(self.add_sink(destination)["sid"], "Simulated", types)["sid"])

    def subscribe_once(self) -> None:
        """Subscribe to all types, unless there is a subscription."""
        if not self.subscriptions:
            self.subscribe()

    def add_sink(self, destination: str, description: str = "Simulated") -> dict[str, Any]:
        own = sid("DG")
        self.sinks[own] = {
            "sid": own,
            "description": description,
            "sink_type": "webhook",
            "sink_configuration": {"destination": destination, "method": "POST", "batch_events": False},
            "status": "active",
            "date_created": timestamp(),
            "date_updated": timestamp(),
            "url": f"https://{self.host}{SINKS}/{own}",
        }
        return self.sinks[own]

    def _add(self, sink: str, description: str, types: Mapping[str, int]) -> dict[str, Any]:
        own = sid("DF")
        self.types[own] = dict(types)
        self.subscriptions[own] = {
            "sid": own,
            "account_sid": ACCOUNT_SID,
            "sink_sid": sink,
            "description": description,
            "date_created": timestamp(),
            "date_updated": timestamp(),
            "url": f"https://{self.host}{SUBSCRIPTIONS}/{own}",
        }
        return self.subscriptions[own]

    async def send(self, receiver: Receiver, type: str, data: Mapping[str, Any], id: str = "", repeat: int = 1) -> None:
        """Send an event to every sink of this app that has subscribed to it; `repeat` times, since delivery may repeat.

        Raises Problem for an answer that would make Twilio send it again.
        """
        event = {
            "specversion": "1.0",
            "type": type,
            "source": f"/v1/Accounts/{ACCOUNT_SID}",
            "id": id or f"EZ{uuid4().hex}",
            "dataschema": f"https://events-schemas.twilio.com/{type}/{TYPES.get(type, 1)}",
            "datacontenttype": "application/json",
            "time": timestamp(),
            "data": data,
        }
        for own, subscription in self.subscriptions.items():
            destination = str(self.sinks[subscription["sink_sid"]]["sink_configuration"]["destination"])
            if type not in self.types[own] or not destination.startswith(PUBLIC_URL):
                continue
            for _ in range(repeat):
                answer = await receiver.post_json(destination.removeprefix(PUBLIC_URL), [event])
                if not answer.is_success:
                    raise Problem(f"the webhook of events was answered with {answer.status_code}")

    async def simulate(self, customer: Receiver, event: Any) -> None:
        """Send an event: `type`, `data`, and how often (`repeat`)."""
        self.subscribe_once()
        await self.send(customer, event["type"], event.get("data", {}), repeat=event.get("repeat", 1))

    # --- sinks ------------------------------------------------------------------------------------------------------

    @route("GET", SINKS)
    async def list_sinks(self, request: Request) -> Answer:
        return 200, self._page(request, "sinks", [*self.sinks.values()])

    @route("POST", SINKS)
    async def create_sink(self, request: Request) -> Answer:
        configuration = json.loads(request.body.get("SinkConfiguration", "{}"))
        if request.body.get("SinkType") != "webhook" or not configuration.get("destination", "").startswith("https://"):
            raise BadRequest("a sink needs SinkType and a SinkConfiguration with an https destination")
        return 201, self.add_sink(configuration["destination"], request.body.get("Description", ""))

    @route("GET", SINKS + "/{sink}")
    async def fetch_sink(self, request: Request, sink: str) -> Answer:
        return 200, get(self.sinks, sink)

    @route("POST", SINKS + "/{sink}")
    async def update_sink(self, request: Request, sink: str) -> Answer:
        """Of a sink only the description can be changed."""
        get(self.sinks, sink)["description"] = request.body["Description"]
        return 200, self.sinks[sink]

    @route("DELETE", SINKS + "/{sink}")
    async def delete_sink(self, request: Request, sink: str) -> Answer:
        get(self.sinks, sink)
        self._check_unused(sink)
        del self.sinks[sink]
        return 204, None

    # --- subscriptions ----------------------------------------------------------------------------------------------

    @route("GET", SUBSCRIPTIONS)
    async def list_subscriptions(self, request: Request) -> Answer:
        wanted = request.query.get("SinkSid")
        found = [each for each in self.subscriptions.values() if wanted in (None, each["sink_sid"])]
        return 200, self._page(request, "subscriptions", found)

    @route("POST", SUBSCRIPTIONS)
    async def create_subscription(self, request: Request) -> Answer:
        types = [json.loads(each) for each in request.values.get("Types", [])]
        if not types:
            raise BadRequest("a subscription needs Types")
        sink = str(get(self.sinks, request.body.get("SinkSid", ""))["sid"])
        self._check_unused(sink)
        versions = {each["type"]: self._version(each["type"], each.get("schema_version")) for each in types}
        return 201, self._add(sink, request.body.get("Description", ""), versions)

    @route("GET", SUBSCRIPTIONS + "/{subscription}")
    async def fetch_subscription(self, request: Request, subscription: str) -> Answer:
        return 200, get(self.subscriptions, subscription)

    @route("DELETE", SUBSCRIPTIONS + "/{subscription}")
    async def delete_subscription(self, request: Request, subscription: str) -> Answer:
        get(self.subscriptions, subscription)
        del self.subscriptions[subscription], self.types[subscription]
        return 204, None

    @route("GET", SUBSCRIPTIONS + "/{subscription}/SubscribedEvents")
    async def list_types(self, request: Request, subscription: str) -> Answer:
        found = [self._subscribed(subscription, type) for type in get(self.types, subscription)]
        return 200, self._page(request, "types", found)

    @route("POST", SUBSCRIPTIONS + "/{subscription}/SubscribedEvents")
    async def add_type(self, request: Request, subscription: str) -> Answer:
        type = request.body["Type"]
        get(self.types, subscription)[type] = self._version(type, request.body.get("SchemaVersion"))
        return 201, self._subscribed(subscription, type)

    @route("DELETE", SUBSCRIPTIONS + "/{subscription}/SubscribedEvents/{type}")
    async def delete_type(self, request: Request, subscription: str, type: str) -> Answer:
        get(get(self.types, subscription), type)
        del self.types[subscription][type]
        return 204, None

    def _subscribed(self, subscription: str, type: str) -> dict[str, Any]:
        version = self.types[subscription][type]
        own = {"account_sid": ACCOUNT_SID, "subscription_sid": subscription, "type": type, "schema_version": version}
        return {**own, "url": f"https://{self.host}{SUBSCRIPTIONS}/{subscription}/SubscribedEvents/{type}"}

    def _version(self, type: str, version: Any) -> int:
        if type not in TYPES or int(version or 1) > TYPES[type]:
            raise BadRequest(f"{type} in version {version} is not known")
        return int(version or TYPES[type])

    def _check_unused(self, sink: str) -> None:
        if any(each["sink_sid"] == sink for each in self.subscriptions.values()):
            raise ApiError(400, f"Sink with SID {sink} is in use")

    def _page(self, request: Request, key: str, records: Any) -> dict[str, Any]:
        found, place, following = self.numbered_page(request, records)
        url = following and f"https://{self.host}{request.path}{following}"
        return {key: found, "meta": {"key": key, **place, "next_page_url": url}}
