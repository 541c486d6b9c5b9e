"""A collector on this machine: OTLP over HTTP in protobuf, as the SDK's exporters send it.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp (read in November 2026).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

OWN = ("app", "fastapi")  # scopes; others are of the library of a runtime


@dataclass(frozen=True)
class Span:
    """Ids in hex, "" for no parent; times in nanoseconds; `status` is 0 (unset), 1 (ok) or 2 (error)."""

    name: str
    scope: str
    trace_id: str
    span_id: str
    parent_id: str
    start: int
    end: int
    status: int
    status_text: str
    attributes: Mapping[str, Any]
    events: Mapping[str, Mapping[str, Any]]
    links: tuple[str, ...]  # ids of traces


@dataclass(frozen=True)
class Point:
    """One value of a metric: a number, or of a histogram the sum."""

    name: str
    unit: str
    scope: str
    attributes: Mapping[str, Any]
    value: float
    count: int = 1  # of a histogram


@dataclass(frozen=True)
class Record:
    """A log record. `severity` is its text."""

    body: Any
    scope: str
    severity: str
    trace_id: str
    span_id: str
    attributes: Mapping[str, Any]


@dataclass
class Collector:
    """What has arrived so far. `received` are the messages as they were sent, in which a text can be searched."""

    endpoint: str = ""
    spans: list[Span] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    resources: list[Mapping[str, Any]] = field(default_factory=list)
    received: bytes = b""

    def named(self, name: str) -> list[Span]:
        """The server's own spans of this name, or of a name that begins with it and a space."""
        own = [span for span in self.spans if span.scope in OWN]
        return [span for span in own if span.name == name or span.name.startswith(f"{name} ")]

    def children(self, parent: Span) -> list[Span]:
        return [span for span in self.spans if span.parent_id == parent.span_id]

    def keys(self) -> set[str]:
        """Every attribute key of spans, their events, metrics and logs."""
        holders: list[Mapping[str, Any]] = [each.attributes for each in (*self.spans, *self.points, *self.records)]
        holders += [event for span in self.spans for event in span.events.values()]
        return {key for holder in holders for key in holder}

    def take(self, path: str, body: bytes) -> None:
        self.received += body
        match path:
            case "/v1/traces":
                for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                    self.resources.append(attributes(each.resource.attributes))
                    for scope in each.scope_spans:
                        self.spans += [span_of(span, scope.scope.name) for span in scope.spans]
            case "/v1/metrics":
                for each in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    self.resources.append(attributes(each.resource.attributes))
                    for scope in each.scope_metrics:
                        self.points += [point for one in scope.metrics for point in points_of(one, scope.scope.name)]
            case "/v1/logs":
                for each in ExportLogsServiceRequest.FromString(body).resource_logs:
                    self.resources.append(attributes(each.resource.attributes))
                    for scope in each.scope_logs:
                        self.records += [record_of(record, scope.scope.name) for record in scope.log_records]
            case _:
                raise ValueError(f"OTLP has no {path}")


def span_of(span: Any, scope: str) -> Span:
    return Span(
        name=span.name,
        scope=scope,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        status=span.status.code,
        status_text=span.status.message,
        attributes=attributes(span.attributes),
        events={event.name: attributes(event.attributes) for event in span.events},
        links=tuple(link.trace_id.hex() for link in span.links),
    )


def points_of(metric: Any, scope: str) -> Iterator[Point]:
    kind = metric.WhichOneof("data")
    for point in getattr(metric, kind).data_points:
        own = {"name": metric.name, "unit": metric.unit, "scope": scope, "attributes": attributes(point.attributes)}
        if kind in ("sum", "gauge"):
            yield Point(**own, value=getattr(point, point.WhichOneof("value")))
        else:
            yield Point(**own, value=point.sum, count=point.count)


def record_of(record: Any, scope: str) -> Record:
    return Record(
        body=value_of(record.body),
        scope=scope,
        severity=record.severity_text,
        trace_id=record.trace_id.hex(),
        span_id=record.span_id.hex(),
        attributes=attributes(record.attributes),
    )


def attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    return {pair.key: value_of(pair.value) for pair in pairs}


def value_of(value: Any) -> Any:
    match kind := value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [value_of(each) for each in value.array_value.values]
        case "kvlist_value":
            return attributes(value.kvlist_value.values)
    return getattr(value, kind)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens at its `endpoint`."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collector.take(self.path, gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
