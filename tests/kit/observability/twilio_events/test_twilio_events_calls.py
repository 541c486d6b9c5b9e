"""Errors that Twilio reports of a call: once, in the trace of the call, and without what was said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from app.capability import Capability
from app.observability import Observability, names
from app.observability.twilio_events import ERROR_LOGGED, TwilioEvents
from app.observability.twilio_events.payload import StreamEvent
from kit.caller import Call
from kit.testing import Dial
from tests.kit.observability.collector import Collector, Span
from tests.kit.observability.conversation import CANARIES, NAME
from tests.kit.observability.twilio_events.test_webhooks import ERROR, event

BUSY = {"error_code": 64105, "body": f"<Say>Hello {NAME}</Say>"}


async def exported(call: Call) -> None:
    """Wait until the spans so far are with the collector."""
    (own,) = [each for each in call.app.state.conversations.capabilities if isinstance(each, Observability)]
    assert own.telemetry
    await asyncio.to_thread(own.telemetry.tracers.force_flush)


async def spans(call: Call, collector: Collector, name: str) -> list[Span]:
    await exported(call)
    return collector.named(name)


async def test_an_error_is_in_the_trace_of_its_call_once(collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint)
    await call.says("Hello")
    call.session.conversation_id = "conv_conversation_7"  # with Orchestrator, it is saved some time after the setup
    await call.app.state.brain.services.sessions.save(call.session, 60)
    await call.account.simulate(call, {"monitor": {**BUSY, "repeat": 2}})
    (error,) = await spans(call, collector, names.TWILIO_ERROR)
    (turn,) = collector.named("invoke_agent")
    assert error.trace_id == turn.trace_id
    assert error.status == 2 and error.start == error.end
    assert error.attributes == {
        names.CONVERSATION: turn.attributes[names.CONVERSATION],
        names.AGENT: turn.attributes[names.AGENT],
        names.CALL: call.sid,
        names.ERROR_CODE: "64105",
        names.LEVEL: "error",
    }  # that of the Debugger, which comes first, and names no product
    assert [canary for canary in CANARIES if canary.encode() in collector.received] == []


@pytest.mark.parametrize("by", ["the Debugger", "Event Streams"])
async def test_one_of_the_webhooks_is_enough(by: str, collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint)
    if by == "the Debugger":
        call.account.monitor.events = None
    else:
        call.account.monitor.webhook = None
    await call.account.simulate(call, {"monitor": BUSY})
    (error,) = await spans(call, collector, names.TWILIO_ERROR)
    assert error.attributes[names.CALL] == call.sid
    product = {"the Debugger": None, "Event Streams": "Programmable Voice"}[by]
    assert error.attributes.get(names.PRODUCT) == product


async def test_errors_of_calls_that_another_worker_has_match_them(collector: Collector, dial: Dial) -> None:
    """Also of a call that no server has answered."""
    call, other = await dial(otlp_endpoint=collector.endpoint), await dial(otlp_endpoint=collector.endpoint)
    await call.says("Hello")
    await other.account.simulate(other, {"monitor": {**BUSY, "resource": call.sid}})
    await other.account.simulate(other, {"monitor": {**BUSY, "resource": "CA" + "e" * 32}})
    await exported(call)
    errors = await spans(other, collector, names.TWILIO_ERROR)
    (turn,) = collector.named("invoke_agent")
    assert [error.trace_id == turn.trace_id for error in errors] == [True, False]


async def test_a_warning_is_recorded_if_it_is_wanted(collector: Collector, dial: Dial) -> None:
    for level, count in (("error", 0), ("warning", 1)):
        call = await dial(otlp_endpoint=collector.endpoint, twilio_event_level=level)
        await call.account.simulate(call, {"monitor": {**BUSY, "level": "warning"}})
        await call.account.simulate(call, {"monitor": {**BUSY, "level": "info"}})
        found = await spans(call, collector, names.TWILIO_ERROR)
        assert [span.status for span in found] == [0] * count


async def test_an_error_is_logged_without_a_collector_and_without_texts(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial()
    await call.account.simulate(call, {"monitor": {**BUSY, "repeat": 2}})
    await call.account.simulate(call, {"monitor": {**BUSY, "resource": "SM" + "1" * 32, "error_code": 30003}})
    events = [json.loads(line) for line in logged().splitlines() if '"twilio.error"' in line]
    assert [(event["call"], event["code"]) for event in events] == [(call.sid, "64105"), (call.sid, "30003")]
    assert not any(canary in logged() for canary in CANARIES)


async def test_an_error_of_no_call_has_no_span(collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint)
    call.account.event_streams.subscribe()
    data = {"sid": "NO" + "1" * 32, "level": "ERROR", "error_code": "30003", "correlation_sid": "SM" + "1" * 32}
    await call.account.simulate(call, {"event_streams": {"type": "com.twilio.error-logs.error.logged", "data": data}})
    assert await spans(call, collector, names.TWILIO_ERROR) == []


PLAIN: dict[str, Any] = {
    "an event alone": event(),
    "a list": [event()],
    "data as text": [event(data=json.dumps(ERROR))],
    "a list with others": [None, event(type="another"), event()],
    "a code with words": [event(data={**ERROR, "error_code": NAME, "product_name": f"{NAME}!", "date_created": "x"})],
    "a time of no use": [event(data={**ERROR, "date_created": "0001-01-01T00:00:00"})],
}


@pytest.mark.parametrize("body", PLAIN.values(), ids=PLAIN.keys())
async def test_events_are_taken_in_every_shape(body: Any, collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint)
    assert (await call.post_json("/webhooks/events", body)).status_code == 200
    (error,) = await spans(call, collector, names.TWILIO_ERROR)
    assert error.attributes[names.CALL] == ERROR["correlation_sid"] and NAME.encode() not in collector.received
    assert error.start > 10**18


class Broken(Capability):
    event_types: ClassVar[dict[str, int]] = {ERROR_LOGGED: 2}

    async def on_event(self, event: StreamEvent) -> None:
        raise ValueError(NAME)


async def test_a_capability_that_fails_keeps_no_event_from_the_others(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial(capabilities=[Broken, Observability, TwilioEvents])
    assert (await call.post_json("/webhooks/events", [event()])).status_code == 200
    found = [json.loads(line)["event"] for line in logged().splitlines() if '"twilio.' in line]
    assert found == ["twilio.event_failed", "twilio.error"] and NAME not in logged()
