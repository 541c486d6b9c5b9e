"""Exporters that let only through what `names.py` classifies, also of what libraries measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link

from app.observability.names import CLASSIFIED, SPANS


class ClassifiedSpans(SpanExporter):
    """Exports spans with classified attributes only, and without events and status texts, which may quote a caller."""

    def __init__(self, exporter: SpanExporter) -> None:
        self.exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self.exporter.export([classified(span) for span in spans])

    def shutdown(self) -> None:
        self.exporter.shutdown()


def classified(span: ReadableSpan) -> ReadableSpan:
    scope = span.instrumentation_scope
    return ReadableSpan(
        name=span.name if span.name.partition(" ")[0] in SPANS else scope.name if scope else "",
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=classified_only(span.attributes),
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        instrumentation_scope=scope,
        status=type(span.status)(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def classified_only(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (attributes or {}).items() if key in CLASSIFIED}
