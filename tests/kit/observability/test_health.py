"""Events are those of names.py, with values of names.py, and become metrics."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.observability import Observability, names
from app.observability.health import OTHER, Health
from app.observability.telemetry import Telemetry
from app.registry import folders
from kit import defaults
from kit.agent_app import build_app
from tests.kit.counting import Counted

Reader = InMemoryMetricReader


def counts_in_code() -> Iterator[tuple[str, dict[str, ast.expr], str]]:
    """The event, the facts and the place of each `count` of an event in app/."""
    for path in sorted(Path("app").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "count":
                continue
            event = node.args[0] if len(node.args) == 1 else None
            if ast.unparse(node.func.value).rpartition(".")[2] in ("self", "services") and isinstance(
                event, ast.Constant
            ):
                facts = {str(each.arg): each.value for each in node.keywords}
                yield str(event.value), facts, f"{path}:{node.lineno}"


COUNTS = list(counts_in_code())


def test_what_the_code_counts_is_in_names() -> None:
    assert COUNTS
    for event, facts, place in COUNTS:
        assert event in names.EVENTS, place
        allowed = names.EVENTS[event].facts
        assert set(facts) == set(allowed), place
        for fact, value in facts.items():
            assert not isinstance(value, ast.Constant) or value.value in allowed[fact], place


def test_every_event_of_this_project_is_counted_somewhere() -> None:
    here = {"app", *folders()}
    assert {name for name, event in names.EVENTS.items() if event.package in here} == {name for name, *_ in COUNTS}


def test_every_fact_is_a_classified_attribute() -> None:
    used = {fact for event in names.EVENTS.values() for fact in event.facts}
    assert used == set(names.FACTS)
    assert set(names.FACTS.values()) <= set(names.CLASSIFIED)
    assert len({event.counter for event in names.EVENTS.values()}) == len(names.EVENTS)


def test_the_outcomes_of_a_handoff_are_its_states() -> None:
    record = pytest.importorskip("app.escalation.record", reason="the project has no hand-off")
    assert set(names.EVENTS["handoff"].facts["outcome"]) == {state.value for state in record.State}


def test_the_kinds_of_signals_are_those_of_the_types() -> None:
    signals = pytest.importorskip("app.signals", reason="the project has no signals")
    kinds = {each.model_fields["kind"].default for each in signals.Signal.__subclasses__()}
    assert kinds | {"unknown"} == set(names.EVENTS["signal"].facts["kind"])


@pytest.fixture
def reader() -> Reader:
    return InMemoryMetricReader()


def points(reader: Reader) -> dict[tuple[Any, ...], float]:
    """The value of each counter by its name and the values of its attributes."""
    data = reader.get_metrics_data()
    found: dict[tuple[Any, ...], float] = {}
    for resource in data.resource_metrics if data else []:
        for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
            if metric.name not in {event.counter for event in names.EVENTS.values()}:
                continue
            for point in metric.data.data_points:
                assert isinstance(point, NumberDataPoint)
                facts = [str(value) for _, value in sorted((point.attributes or {}).items())]
                found[(metric.name, *facts)] = point.value
    return found


def test_an_event_is_a_counter_with_its_facts(reader: Reader) -> None:
    health = Health(MeterProvider([reader]))
    health.count("apology", {})
    for _ in range(2):
        health.count("turn_lost", {"channel": "voice", "reason": "disconnected"})
    assert points(reader) == {("app.apologies",): 1, ("app.turns.lost", "voice", "disconnected"): 2}


def test_a_value_that_names_does_not_have_stays_here(reader: Reader) -> None:
    health = Health(MeterProvider([reader]))
    health.count("turn_lost", {"channel": "+15005550006", "reason": "failed", "caller": "Ada"})
    health.count("nothing", {"caller": "Ada"})
    assert points(reader) == {("app.turns.lost", OTHER, "failed"): 1}


def test_everything_that_the_project_may_count_begins_at_zero(reader: Reader) -> None:
    """An alert on a rise would miss the first of a series that begins at one."""
    telemetry = Telemetry.of(SimpleSpanProcessor(InMemorySpanExporter()), reader)
    app = build_app(capabilities=Counted().capabilities())
    Health(telemetry.meters).start(app)
    found = points(reader)
    assert set(found.values()) == {0}
    here = {"app", *folders()}
    assert {key[0] for key in found} == {event.counter for event in names.EVENTS.values() if event.package in here}
    assert ("app.turns.lost", "voice", "disconnected") in found


def test_nothing_is_measured_without_an_endpoint(reader: Reader) -> None:
    Observability(None).count("apology")
    assert points(reader) == {}


def test_a_simulated_agent_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the environment has the endpoint of production."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example")
    assert not defaults.settings().otlp_endpoint  # type: ignore[attr-defined]
