"""Durations as histograms, and requests to the store, in a collector."""

from __future__ import annotations

import pytest

from app.registry import RUNTIME
from kit.conventions import drivers
from tests.kit.observability.collector import Collector
from tests.kit.observability.conversation import WORDS, converse


@pytest.mark.parametrize("channel", list(drivers()))
def test_segments_hops_and_tokens_are_measured_also_of_what_is_not_sampled(channel: str, collector: Collector) -> None:
    never = {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    texts = [f"A {WORDS}.", "My order.", "A defect."]
    converse(collector.endpoint, channel, texts=texts, environment=never, shared=True)
    assert collector.spans == []
    turns = [point for point in collector.points if point.name == "app.turn.duration"]
    segments = [point for point in collector.points if point.name == "app.turn.segment.time"]
    (turn,) = turns
    assert (turn.unit, turn.count, turn.attributes["app.channel"]) == ("s", 3, channel)
    assert sum(point.value for point in segments) == pytest.approx(turn.value, abs=1e-5)
    hops = {point.attributes["app.hop"]: point for point in collector.points if point.name == "app.hop.duration"}
    relay = {"receive", "send"} if channel == "voice" else set()
    assert set(hops) == {"context", "model", "first_token", "tool", "store"} | relay
    tools = [point.attributes for point in collector.points if point.attributes.get("app.hop") == "tool"]
    outcomes = {tool["gen_ai.tool.name"]: tool.get("error.type") for tool in tools}
    assert outcomes == {"look_up": None, "defective": "ValueError"}
    tokens = [point.attributes for point in collector.points if point.name == "gen_ai.client.token.usage"]
    assert {each["gen_ai.token.type"] for each in tokens} == {"input", "output"} or RUNTIME.__name__ != "Models"


@pytest.mark.parametrize("channel", list(drivers()))
def test_requests_to_a_store_belong_to_their_conversation(channel: str, collector: Collector) -> None:
    converse(collector.endpoint, channel, texts=[f"A {WORDS}."], shared=True)
    (turn,) = collector.named("invoke_agent")
    requests = collector.named("store")
    assert {"store get", "store put"} <= {request.name for request in requests}
    assert {request.attributes["app.store"] for request in requests} == {"Shared"}
    traces = {turn.trace_id, *(span.trace_id for span in collector.named("POST"))}
    assert {request.trace_id for request in requests} <= traces
    assert channel != "voice" or turn.trace_id in {request.trace_id for request in requests}


def test_a_signal_may_be_left_out(collector: Collector) -> None:
    none = {"OTEL_TRACES_EXPORTER": "none"}
    converse(collector.endpoint, next(iter(drivers())), texts=[f"A {WORDS}."], environment=none)
    assert collector.points and not collector.spans
