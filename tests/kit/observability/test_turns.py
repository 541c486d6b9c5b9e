"""A whole conversation in a collector: turns, their parts and their ends, and nothing that was said."""

from __future__ import annotations

from hashlib import sha256

import pytest

from kit.conventions import drivers
from tests.kit.observability.collector import Collector, Span
from tests.kit.observability.conversation import CANARIES, TEXTS, WORDS, converse

SEGMENTS = ("receive", "memory", "first_token", "stream", "tool", "send")
VOICE = pytest.mark.skipif("voice" not in drivers(), reason="only of calls")


@pytest.mark.parametrize("channel", list(drivers()))
def test_a_conversation_appears_in_a_collector_without_a_word(channel: str, collector: Collector) -> None:
    converse(collector.endpoint, channel)
    turns = collector.named("invoke_agent")
    assert [turn.attributes["gen_ai.agent.invocation.end_reason"] for turn in turns] == [*["completed"] * 3, "failed"]
    assert [turn.attributes["app.turn.apology"] for turn in turns] == [False, False, False, True]
    assert len({turn.attributes["gen_ai.conversation.id"] for turn in turns}) == 1
    for turn in turns:
        assert sum(segments(turn).values()) == pytest.approx((turn.end - turn.start) / 1e9, abs=1e-6)
        assert {span.trace_id for span in descendants(collector, turn)} == {turn.trace_id}
    hops = [{span.name for span in descendants(collector, turn)} for turn in turns]
    assert all({"memory.recall", "llm.completion"} <= each for each in hops)
    assert [bool(segments(turn)["tool"]) for turn in turns] == [False, True, True, False]
    assert len(turns) == len(TEXTS)
    tools = {span.name: span.attributes.get("error.type") for span in collector.named("execute_tool")}
    assert tools.get("execute_tool look_up", "") is None
    assert tools["execute_tool defective"] == "ValueError"
    assert [canary for canary in CANARIES if canary.encode() in collector.received] == []


@VOICE
def test_a_call_is_one_trace_of_its_sid(collector: Collector) -> None:
    converse(collector.endpoint, texts=[f"A {WORDS}.", {"drop": True}, f"A {WORDS}."])
    turns = collector.named("invoke_agent")
    (call_sid,) = {turn.attributes["gen_ai.conversation.id"] for turn in turns}
    assert {turn.trace_id for turn in turns} == {sha256(f"call {call_sid}".encode()).hexdigest()[:32]}
    assert all(turn.parent_id == "" for turn in turns)
    sockets = collector.named("WS /ws")
    assert [socket.links for socket in sockets] == [(turns[0].trace_id,)] * 2  # begun before the setup
    for turn in turns:
        parts = {span.name: span for span in collector.children(turn)}
        assert parts["relay.receive"].start == turn.start
        assert parts["relay.send"].end > turn.end  # with `last`
        assert parts["relay.send"].attributes["app.relay.frames"] > 2
        assert 0 < parts["llm.completion"].attributes["gen_ai.response.time_to_first_chunk"] < 10


@VOICE
def test_a_span_over_the_call_has_its_turns_inside(collector: Collector) -> None:
    converse(collector.endpoint, texts=[f"A {WORDS}.", f"A {WORDS}."], call_span=True)
    (call,) = collector.named("call")
    turns = collector.named("invoke_agent twilio-agent") or collector.named("invoke_agent")
    own = [turn for turn in turns if turn.scope == "app"]
    assert [turn.parent_id for turn in own] == [call.span_id] * 2
    assert {turn.trace_id for turn in own} == {call.trace_id}
    assert call.start <= own[0].start and own[1].end <= call.end


@VOICE
def test_how_a_turn_ends_is_told(collector: Collector) -> None:
    rules = [{"hears": "", "says": "one two three four five six", "word_delay": 0.2}]
    texts = [
        {"caller": "Count.", "interrupt_after": "two"},
        {"caller": "Count again.", "hangup_after": "three"},
    ]
    converse(collector.endpoint, texts=texts, rules=rules)
    reasons = [turn.attributes["gen_ai.agent.invocation.end_reason"] for turn in collector.named("invoke_agent")]
    assert reasons == ["interrupted", "session_closed"]


@pytest.mark.skipif("messaging" not in drivers(), reason="only of written messages")
def test_a_written_turn_is_a_trace_of_its_own_and_links_to_its_webhook(collector: Collector) -> None:
    converse(collector.endpoint, "messaging", texts=[f"A {WORDS}."] * 2)
    turns = collector.named("invoke_agent")
    assert len({turn.trace_id for turn in turns}) == len({turn.links for turn in turns}) == 2
    webhooks = {span.trace_id: span for span in collector.named("POST /webhooks/conversations")}
    for turn in turns:
        (link,) = turn.links
        assert webhooks[link].attributes["gen_ai.conversation.id"] == turn.attributes["gen_ai.conversation.id"]


def test_a_ratio_keeps_whole_calls(collector: Collector) -> None:
    never = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}
    converse(collector.endpoint, next(iter(drivers())), texts=[f"A {WORDS}."], environment=never)
    assert collector.spans == []
    assert collector.points


def segments(turn: Span) -> dict[str, float]:
    return {name: turn.attributes[f"app.turn.{name}"] for name in SEGMENTS}


def descendants(collector: Collector, parent: Span) -> list[Span]:
    return [each for child in collector.children(parent) for each in (child, *descendants(collector, child))]
