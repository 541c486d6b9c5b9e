"""The providers: how they end."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app.observability.telemetry import Telemetry


class Stuck(SpanExporter):
    """A collector that never answers."""

    def __init__(self) -> None:
        self.freed = Event()

    def export(self, spans: Any) -> SpanExportResult:
        self.freed.wait()
        return SpanExportResult.FAILURE


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    exporter = Stuck()
    yield exporter
    exporter.freed.set()


def test_a_collector_that_is_down_does_not_keep_the_server(stuck: Stuck) -> None:
    telemetry = Telemetry.of(BatchSpanProcessor(stuck), InMemoryMetricReader())
    telemetry.tracers.get_tracer("app").start_span("call").end()
    telemetry.close(limit=0.05)
    assert not stuck.freed.is_set()
