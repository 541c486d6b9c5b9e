"""Providers of OpenTelemetry that export over OTLP (HTTP and protobuf) what `names.py` classifies.

The standard variables apply: OTEL_EXPORTER_OTLP_ENDPOINT and its kin, OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER, OTEL_BSP_*, OTEL_BLRP_*, OTEL_METRIC_EXPORT_INTERVAL, OTEL_SDK_DISABLED. OTEL_TRACES_EXPORTER,
OTEL_METRICS_EXPORTER and OTEL_LOGS_EXPORTER may be "none".
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from threading import Thread
from time import monotonic
from typing import Self

from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from app import config
from app.observability.classified import ClassifiedLogs, ClassifiedSpans
from app.observability.names import CLASSIFIED
from app.observability.traces import TraceIds

FLUSH_TIMEOUT = 5.0  # seconds
VIEWS = [View(instrument_name="*", attribute_keys=set(CLASSIFIED))]


@dataclass
class Telemetry:
    tracers: TracerProvider
    meters: MeterProvider
    loggers: LoggerProvider

    @classmethod
    def build(cls, endpoint: str) -> Self:
        return cls.of(
            BatchSpanProcessor(ClassifiedSpans(OTLPSpanExporter(address(endpoint, "traces"))))
            if is_exported("traces")
            else None,
            PeriodicExportingMetricReader(OTLPMetricExporter(address(endpoint, "metrics")))
            if is_exported("metrics")
            else None,
            BatchLogRecordProcessor(ClassifiedLogs(OTLPLogExporter(address(endpoint, "logs"))))
            if is_exported("logs")
            else None,
        )

    @classmethod
    def of(
        cls, spans: SpanProcessor | None, metrics: MetricReader | None, logs: LogRecordProcessor | None = None
    ) -> Self:
        named = {} if os.environ.get("OTEL_SERVICE_NAME") else {SERVICE_NAME: config.PROJECT}
        resource = Resource.create(named)
        tracers = TracerProvider(resource=resource, shutdown_on_exit=False, id_generator=TraceIds())
        if spans:
            tracers.add_span_processor(spans)
        meters = MeterProvider(
            [metrics] if metrics else [],
            resource=resource,
            views=VIEWS,
            exemplar_filter=AlwaysOffExemplarFilter(),  # an exemplar has the attributes that the view drops
            shutdown_on_exit=False,
        )
        loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        if logs:
            loggers.add_log_record_processor(logs)
        return cls(tracers, meters, loggers)

    def close(self, limit: float = FLUSH_TIMEOUT) -> None:
        """Export what is left, for at most `limit` seconds: exporters try for longer when a collector is down."""
        providers = (self.tracers, self.meters, self.loggers)
        threads = [Thread(target=provider.shutdown, daemon=True) for provider in providers]
        for thread in threads:
            thread.start()
        end = monotonic() + limit
        for thread in threads:
            thread.join(max(0.0, end - monotonic()))


def address(endpoint: str, signal: str) -> str:
    own = os.environ.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT")
    return own or f"{endpoint.removesuffix('/')}/v1/{signal}"


def is_exported(signal: str) -> bool:
    return os.environ.get(f"OTEL_{signal.upper()}_EXPORTER", "").strip().lower() != "none"
