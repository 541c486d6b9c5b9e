"""Event Streams: a sink that leads to this server, and its subscription to the events that the project takes.

Sources: https://www.twilio.com/docs/events/event-streams/sink-resource and /subscription, read on 2026-11-29.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from app.observability.twilio_events import EVENTS
from app.registry import CAPABILITIES
from kit.setup.api import Record
from kit.setup.resource import UNKNOWN_UNTIL_APPLY, Proof, Resource, Step
from kit.setup.verify import webhook_proofs

SINKS, SUBSCRIPTIONS = "https://events.twilio.com/v1/Sinks", "https://events.twilio.com/v1/Subscriptions"


def event_types() -> dict[str, int]:
    """The event types that the capabilities of this project take, and the versions of their schemas."""
    takers: list[Any] = [each for each in CAPABILITIES if hasattr(each, "event_types")]
    return {type: version for each in takers for type, version in each.event_types.items()}


class EventSink(Resource):
    """Found by its address, which cannot be changed: sinks for an earlier PUBLIC_URL are replaced."""

    kind = "event sink"

    @property
    def destination(self) -> str:
        return f"{self.setup.settings.public_url}{EVENTS}"

    async def fetch(self, id: str) -> Record | None:
        record = await self.api.find(f"{SINKS}/{id}")
        return record if record and destination_of(record) == self.destination else None

    async def search(self) -> Record | None:
        found = await self.api.list_all(SINKS, "sinks")
        return next((each for each in found if destination_of(each) == self.destination), None)

    async def wanted_fields(self, existing: Record | None) -> Record:
        if existing:
            return {}
        configuration = {"destination": self.destination, "method": "POST"}
        return {"description": self.setup.name, "sink_type": "webhook", "sink_configuration": configuration}

    async def create(self, wanted: Record) -> str:
        for kind in (EventSubscription, EventSink):
            for old in list(self.setup.journal.entry(kind.kind).get("created", [])):
                await kind(self.setup).delete(old)
                self.setup.journal.record_deleted(kind.kind, old)
        form = {
            "Description": wanted["description"],
            "SinkType": wanted["sink_type"],
            "SinkConfiguration": json.dumps(wanted["sink_configuration"]),
        }
        return self.id_of(await self.api.post_form(SINKS, form))

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{SINKS}/{id}")

    def notes(self, step: Step) -> Sequence[str]:
        replaces = step.action == "create" and self.setup.journal.entry(self.kind).get("created")
        return ("The sink for the address before, and its subscription, are deleted.",) if replaces else ()

    async def proofs(self, record: Record) -> AsyncIterator[Proof]:
        failed = record.get("status") == "failed"
        yield Proof(self.key, "is active", not failed, "Twilio has given it up: undo, then apply." if failed else "")
        async for proof in webhook_proofs(self.setup, self.key, EVENTS, body=[]):
            yield proof


class EventSubscription(Resource):
    """The one subscription of the sink. Event types that others have added to it stay."""

    kind = "event subscription"
    requires = ("event sink",)

    async def fetch(self, id: str) -> Record | None:
        record = await self.api.find(f"{SUBSCRIPTIONS}/{id}")
        if record is None or record["sink_sid"] != self.setup.ids.get(EventSink.kind, record["sink_sid"]):
            return None
        types = await self.api.list_all(f"{SUBSCRIPTIONS}/{id}/SubscribedEvents", "types")
        return {**record, "types": {each["type"]: each["schema_version"] for each in types}}

    async def search(self) -> Record | None:
        sink = self.setup.ids.get(EventSink.kind, UNKNOWN_UNTIL_APPLY)
        if sink == UNKNOWN_UNTIL_APPLY:
            return None
        found = await self.api.list_all(SUBSCRIPTIONS, "subscriptions")
        own = [each["sid"] for each in found if each["sink_sid"] == sink]
        return await self.fetch(own[0]) if own else None

    async def wanted_fields(self, existing: Record | None) -> Record:
        return {"types": {**event_types(), **(existing or {}).get("types", {})}}

    async def create(self, wanted: Record) -> str:
        types = [{"type": type, "schema_version": version} for type, version in wanted["types"].items()]
        form = {
            "Description": self.setup.name,
            "SinkSid": self.setup.ids[EventSink.kind],
            "Types": [json.dumps(each) for each in types],
        }
        return self.id_of(await self.api.post_form(SUBSCRIPTIONS, form))

    async def change(self, id: str, fields: Record) -> str:
        """Add types, and remove those that are in no wanted field any more (`restore`)."""
        present = ((await self.fetch(id)) or {}).get("types", {})
        url = f"{SUBSCRIPTIONS}/{id}/SubscribedEvents"
        for type in fields["types"].keys() - present.keys():
            await self.api.post_form(url, {"Type": type, "SchemaVersion": fields["types"][type]})
        for type in present.keys() - fields["types"].keys():
            await self.api.delete(f"{url}/{type}")
        return id

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{SUBSCRIPTIONS}/{id}")


def destination_of(sink: Record) -> Any:
    return (sink.get("sink_configuration") or {}).get("destination")


RESOURCES: list[type[Resource]] = [EventSink, EventSubscription]
