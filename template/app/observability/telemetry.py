"""Providers of OpenTelemetry that export over OTLP, without attributes that `names.py` does not classify.

The standard variables apply: OTEL_EXPORTER_OTLP_ENDPOINT and its kin, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_METRIC_EXPORT_INTERVAL, OTEL_SDK_DISABLED.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from app import config
from app.observability.names import CLASSIFIED
from app.observability.traces import TraceIds


class ClassifiedSpans(SpanExporter):
    """Exports spans with classified attributes only, and without events and status texts, which may quote a caller."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.exporter.export([classified(span) for span in spans])

    def shutdown(self) -> None:
        self.exporter.shutdown()


def classified(span: ReadableSpan) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=classified_only(span.attributes),
        links=span.links,
        kind=span.kind,
        instrumentation_scope=span.instrumentation_scope,
        status=type(span.status)(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def classified_only(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (attributes or {}).items() if key in CLASSIFIED}


@dataclass
class Telemetry:
    tracers: TracerProvider
    meters: MeterProvider

    @classmethod
    def build(cls, endpoint: str) -> Self:
        base = endpoint.removesuffix("/")
        return cls.of(
            BatchSpanProcessor(ClassifiedSpans(OTLPSpanExporter(f"{base}/v1/traces"))),
            PeriodicExportingMetricReader(OTLPMetricExporter(f"{base}/v1/metrics")),
        )

    @classmethod
    def of(cls, spans: SpanProcessor, metrics: MetricReader) -> Self:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: config.PROJECT}
        resource = Resource.create(named)
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=TraceIds())
        tracers.add_span_processor(spans)
        return cls(tracers, MeterProvider([metrics], resource=resource, shutdown_on_exit=False))

    def close(self) -> None:
        """Export what is left."""
        self.tracers.shutdown()
        self.meters.shutdown()
