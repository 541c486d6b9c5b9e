"""A real server, in a process of its own: a call and what Twilio says of it are one trace, by the rules of sampling."""

from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from app.observability import names
from tests.kit.observability.collector import Collector
from tests.kit.observability.conversation import CANARIES, NAME, WORDS, converse

HAS_INSIGHTS = importlib.util.find_spec("app.observability.twilio_events.insights") is not None
ERROR: dict[str, Any] = {"twilio": {"monitor": {"error_code": 64105, "body": f"<Say>Hello {NAME}</Say>", "repeat": 2}}}
SUMMARY: dict[str, Any] = {"twilio": {"insights": {"tags": ["high_jitter"], "repeat": 2}}}
STEPS: list[str | dict[str, Any]] = [f"A {WORDS}, please.", ERROR, *([SUMMARY] if HAS_INSIGHTS else [])]
NAMES = [names.TWILIO_ERROR, *([names.CALL_SUMMARY] if HAS_INSIGHTS else [])]


def test_what_twilio_says_is_in_the_trace_of_the_call(collector: Collector) -> None:
    output = converse(collector.endpoint, texts=STEPS)
    (turn,) = collector.named("invoke_agent")
    found = [span for span in collector.spans if span.name.startswith("twilio.")]
    assert [span.name for span in found] == NAMES
    assert {(span.trace_id, span.attributes[names.CONVERSATION]) for span in found} == {
        (turn.trace_id, turn.attributes[names.CONVERSATION])
    }
    assert {key for span in found for key in span.attributes} <= names.CLASSIFIED.keys()
    counted = [point for point in collector.points if point.name == "app.twilio.errors" and point.value]
    assert {tuple(point.attributes.items()) for point in counted} == {((names.LEVEL, "error"),)}
    assert {point.value for point in counted} == {1}
    (line,) = [json.loads(line) for line in output.splitlines() if '"twilio.error"' in line]
    assert line["trace_id"] == turn.trace_id
    assert not any(canary.encode() in collector.received or canary in output for canary in CANARIES)


@pytest.mark.parametrize(
    ("sampler", "there"), [("parentbased_always_off", False), ("traceidratio", True)], ids=["none", "all"]
)
def test_the_sampler_decides_of_a_call_and_what_twilio_says_of_it(
    sampler: str, there: bool, collector: Collector
) -> None:
    environment = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "1.0"}
    converse(collector.endpoint, texts=STEPS, environment=environment)
    assert bool(collector.named("invoke_agent")) is there
    assert [span.name for span in collector.spans if span.name.startswith("twilio.")] == (NAMES if there else [])
    assert any(point.name == "app.twilio.errors" for point in collector.points)
