"""Voice Insights in the trace of a call: the summary that Twilio sends, and the latencies that are asked for."""

from __future__ import annotations

import pytest

from app.observability import names
from app.observability.names import CLASSIFIED
from kit.activity import wait_until
from kit.caller import Call
from kit.testing import Dial
from tests.kit.observability.collector import Collector, Span
from tests.kit.observability.conversation import CANARIES
from tests.kit.observability.twilio_events.test_twilio_events_calls import spans


async def test_a_summary_is_in_the_trace_of_its_call_once(collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint)
    await call.says("Hello")
    await call.account.simulate(call, {"insights": {"tags": ["high_jitter", "Silence!"], "repeat": 2}})
    (summary,) = await spans(call, collector, names.CALL_SUMMARY)
    (turn,) = collector.named("invoke_agent")
    assert summary.trace_id == turn.trace_id
    known = {names.CALL, names.CONVERSATION, names.AGENT}
    assert {key: value for key, value in summary.attributes.items() if key not in known} == {
        names.CALL_STATE: "completed",
        names.CALL_TYPE: "carrier",
        names.PROCESSING: "complete",
        names.TAGS: ["high_jitter"],
        names.DURATION: 17,
        names.CONNECTED: 15,
        names.ENDED_BY: "caller",
        names.SIP_RESPONSE: 200,
        names.RINGING: 310,
        names.JITTER: 4.2,
        names.PACKET_LOSS: 0.0,
    }
    assert [canary for canary in CANARIES if canary.encode() in collector.received] == []


async def test_a_summary_with_other_values_keeps_what_is_a_number_or_a_word(collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint)
    odd = {"tags": "x", "duration": "17", "properties": ["x"], "carrier_edge": {"metrics": 1}, "call_state": 7}
    await call.account.simulate(call, {"insights": {**odd, "start_time": None, "end_time": "soon"}})
    (summary,) = await spans(call, collector, names.CALL_SUMMARY)
    assert {key for key in summary.attributes if key.startswith("twilio.call.")} == {
        names.CALL,
        names.CALL_TYPE,
        names.PROCESSING,
        names.CONNECTED,
    }


async def asked(call: Call, collector: Collector) -> list[Span]:
    """The spans of ConversationRelay after the call has ended."""
    await call.hangs_up()
    insights = call.account.insights
    await wait_until(lambda: any("/Voice/" in each.path for each in insights.requests), "Insights was not asked")
    (own,) = [each for each in call.app.state.conversations.capabilities if type(each).__name__ == "VoiceInsights"]
    await wait_until(lambda: not own.asking, "Insights is asked without an end")
    return await spans(call, collector, names.RELAY)


async def test_latencies_of_twilio_are_asked_for_after_the_call(collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint, insights_delay=0)
    insights = call.account.insights
    await call.says("Hello")
    insights.page_size = 2
    for name, milliseconds in (("stt_latency", 80), ("stt_latency", 121), ("tts_latency", 200)):
        insights.relay_event(call.sid, name, **{name: {"latency_ms": milliseconds}})
    insights.relay_event(call.sid, "interrupt", interrupt={"type": "SPEECH"})
    insights._add_event(call.sid, "connection", "answered", None)
    (relay,) = await asked(call, collector)
    (turn,) = collector.named("invoke_agent")
    assert relay.trace_id == turn.trace_id
    assert {key: value for key, value in relay.attributes.items() if key.startswith("twilio.relay")} == {
        names.STT_MEAN: 100.5,
        names.STT_MAX: 121,
        names.TTS_MEAN: 200,
        names.TTS_MAX: 200,
        names.INTERRUPTIONS: 1,
        names.PREEMPTED: 0,
        names.RELAY_SESSIONS: 1,
    }
    assert set(relay.attributes) <= CLASSIFIED.keys()


async def test_an_account_without_advanced_features_is_asked_once(collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint, insights_delay=0)
    call.account.insights.advanced_features = False
    assert await asked(call, collector) == []
    assert [request.path for request in call.account.insights.requests] == ["/v1/Voice/Settings"]


async def test_insights_without_events_of_the_call_is_asked_a_few_times(collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint, insights_delay=0)
    assert await asked(call, collector) == []
    assert [request.path.rpartition("/")[2] for request in call.account.insights.requests] == [
        "Settings",
        *3 * ["Events"],
    ]


@pytest.mark.parametrize("status", [401, 500])
async def test_an_error_of_insights_is_logged_only(status: int, collector: Collector, dial: Dial) -> None:
    call = await dial(otlp_endpoint=collector.endpoint, insights_delay=0)
    call.account.set_state({"insights": {"fails": status}})
    assert await asked(call, collector) == []
    assert call.problems == []


async def test_without_a_collector_nothing_is_asked(dial: Dial) -> None:
    call = await dial(insights_delay=0)
    await call.hangs_up()
    await wait_until(lambda: call.app.state.conversations.active == 0, "the call did not end")
    assert call.account.insights.requests == []


async def test_a_summary_reaches_no_collector_that_is_not_there(dial: Dial) -> None:
    call = await dial()
    await call.account.simulate(call, {"insights": {}})
    assert call.problems == []
