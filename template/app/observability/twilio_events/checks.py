"""Event Streams of the account: whether Twilio reports its errors to this server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from app.observability.twilio_events import EVENTS
from app.observability.twilio_events.resources import event_types
from kit.doctor.check import Context, check, list_records, region_check

SINK_DOCS = "https://www.twilio.com/docs/events/event-streams/sink-resource"


has_region = region_check("EVT004", "events", "Event Streams")


@check(
    "EVT001",
    hint="Run agent setup apply, which makes the sink and its subscription.",
    docs=SINK_DOCS,
    live=True,
    requires=("ACC001", "ACC002"),
)
async def sink_exists(context: Context) -> AsyncIterator[str]:
    """A sink of Event Streams leads to this server."""
    if not await context.cached(own_sinks):
        yield f"The account has no sink with the destination PUBLIC_URL{EVENTS}: errors of Twilio are not reported."


@check(
    "EVT002",
    hint="Read the error in the Debugger of the Console; then agent setup undo, and apply.",
    docs="https://www.twilio.com/docs/api/errors/93101",
    live=True,
    requires=("EVT001",),
)
async def sink_is_active(context: Context) -> AsyncIterator[str]:
    """The sink has not failed."""
    for sink in await context.cached(own_sinks):
        if sink.status == "failed":
            yield f"The sink {sink.sid} has failed."


@check(
    "EVT003",
    hint="Run agent setup apply, which subscribes to them.",
    docs="https://www.twilio.com/docs/events/event-streams/subscription",
    live=True,
    requires=("EVT001",),
)
async def subscribed(context: Context) -> AsyncIterator[str]:
    """The sink is subscribed to the events that this project takes."""
    sinks = {sink.sid for sink in await context.cached(own_sinks)}
    events = context.account.events.v1
    own = [each for each in await list_records(events.subscriptions) if each.sink_sid in sinks]
    types = {
        found.type for each in own for found in await list_records(events.subscriptions(each.sid).subscribed_events)
    }
    for missing in sorted(event_types().keys() - types):
        yield f"Nothing is subscribed to {missing}."


async def own_sinks(context: Context) -> list[Any]:
    """The sinks with this server's address."""
    wanted = f"{context.settings.public_url}{EVENTS}"
    sinks = await list_records(context.account.events.v1.sinks)
    return [each for each in sinks if (each.sink_configuration or {}).get("destination") == wanted]
