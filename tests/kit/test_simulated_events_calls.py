"""Event Streams, the Debugger and Voice Insights of the simulated account, as the helper library reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from kit import defaults
from kit.caller import dial_app
from kit.defaults import Problem
from kit.simulated_twilio.account import SimulatedAccount
from tests.kit.test_caller_calls import fake
from tests.kit.test_simulated_account import client

LOGGED = "com.twilio.error-logs.error.logged"
SUMMARY = "com.twilio.voice.insights.call-summary.complete"
SINK = {"destination": f"{defaults.PUBLIC_URL}/webhooks/events", "method": "POST"}


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


@pytest.fixture
def twilio(account: SimulatedAccount) -> Client:
    return client(account)


async def test_a_sink_has_one_subscription_which_is_deleted_first(account: SimulatedAccount, twilio: Client) -> None:
    events = twilio.events.v1
    sink = await events.sinks.create_async(description="x", sink_configuration=SINK, sink_type="webhook")
    assert (await events.sinks(sink.sid).fetch_async()).sink_configuration["destination"] == SINK["destination"]
    types: list[Any] = [{"type": LOGGED, "schema_version": 2}, {"type": SUMMARY}]
    own = await events.subscriptions.create_async(description="x", sink_sid=sink.sid, types=types)
    for refused in (
        events.subscriptions.create_async(description="y", sink_sid=sink.sid, types=types),
        events.sinks(sink.sid).delete_async(),
        events.subscriptions(own.sid).subscribed_events.create_async(type="com.twilio.nothing"),
    ):
        with pytest.raises(TwilioRestException) as error:
            await refused
        assert error.value.status == 400
    account.event_streams.page_size = 1
    listed = await events.subscriptions(own.sid).subscribed_events.page_async()
    assert [(each.type, each.schema_version) for each in listed] == [(LOGGED, 2)] and listed.next_page_url
    await events.subscriptions(own.sid).subscribed_events(LOGGED).delete_async()
    assert account.event_streams.types == {own.sid: {SUMMARY: 7}}
    await events.subscriptions(own.sid).delete_async()
    await events.sinks(sink.sid).delete_async()
    assert [each async for each in await events.sinks.stream_async()] == []


def app(status: int = 200) -> FastAPI:
    """An app that keeps the events and errors it is sent, and answers with `status`."""
    made = fake()
    made.state.webhooks = []

    @made.post("/webhooks/{name}")
    async def receive(request: Request) -> Response:
        content = await request.body()
        form = request.headers["Content-Type"] != "application/json"
        made.state.webhooks.append(dict(await request.form()) if form else json.loads(content))
        return Response(status_code=status)

    return made


async def test_an_error_is_reported_by_both_webhooks(account: SimulatedAccount, twilio: Client) -> None:
    made = app()
    async with dial_app(made, account=account) as call:
        await account.monitor.simulate(call, {"error_code": 64105})
    form, (event,) = made.state.webhooks
    (alert,) = await twilio.monitor.v1.alerts.page_async(log_level="error")
    assert (alert.sid, alert.error_code, alert.resource_sid) == (form["Sid"], "64105", call.sid)
    assert event["id"] == event["data"]["sid"] == alert.sid
    assert event["data"]["correlation_sid"] == json.loads(form["Payload"])["resource_sid"] == call.sid
    assert event["data"]["payload"] == form["Payload"] and form["Level"] == "Error"


async def test_events_go_where_they_are_subscribed_to(account: SimulatedAccount) -> None:
    made = app()
    account.event_streams.subscribe(types={LOGGED: 2})
    account.event_streams.subscribe("https://another.example/events")
    async with dial_app(made, account=account) as call:
        await account.insights.simulate(call, {})
        await account.event_streams.simulate(call, {"type": LOGGED, "data": {"a": 1}, "repeat": 2})
    assert [[event["data"] for event in events] for events in made.state.webhooks] == [[{"a": 1}]] * 2


async def test_a_webhook_that_fails_is_a_problem(account: SimulatedAccount) -> None:
    async with dial_app(app(500), account=account) as call:
        with pytest.raises(Problem, match="500"):
            await account.event_streams.simulate(call, {"type": LOGGED})
        with pytest.raises(Problem, match="500"):
            await account.monitor.simulate(call, {"error_code": 11200})


async def test_insights_has_summary_and_events_with_advanced_features(
    account: SimulatedAccount, twilio: Client
) -> None:
    insights = twilio.insights.v1
    async with dial_app(app(), account=account) as call:
        account.insights.summarize(call, tags=["high_jitter"])
        account.insights.relay_event(call.sid, "stt_latency", stt_latency={"latency_ms": 80})
    assert (await insights.settings().fetch_async()).advanced_features
    assert (await insights.calls(call.sid).summary().fetch_async()).tags == ["high_jitter"]
    (event,) = await insights.calls(call.sid).events.page_async(edge="carrier_edge")
    relay: Any = event.conversation_relay_data
    assert (event.group, event.name, relay["stt_latency"]) == ("conversation_relay", "stt_latency", {"latency_ms": 80})
    account.insights.advanced_features = False
    with pytest.raises(TwilioRestException) as error:
        await insights.calls(call.sid).summary().fetch_async()
    assert error.value.status == 404
