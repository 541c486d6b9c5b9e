"""Exporters that let only through what `names.py` classifies, also of what libraries measure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Link

from app.observability.names import CLASSIFIED, HOPS, SCOPE, SPANS, TOOL_NAME

# Classes of errors, each perhaps with a number or a code: no text of an error.
ERRORS = re.compile(r"[A-Z]\w*(?: \w+)?(?:, [A-Z]\w*(?: \w+)?)*|\d{1,6}")


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
    attributes = classified_only(span.attributes)
    if span.name != f"{HOPS['tool']} {attributes.get(TOOL_NAME)}":
        attributes.pop(TOOL_NAME, None)  # of a tool that the model has invented, see SpansOfTurns
    return ReadableSpan(
        name=span.name if span.name.partition(" ")[0] in SPANS else scope.name if scope else "",
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=attributes,
        links=[Link(link.context) for link in span.links],
        kind=span.kind,
        instrumentation_scope=scope,
        status=type(span.status)(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def classified_only(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        key: value
        for key, value in (attributes or {}).items()
        if key in CLASSIFIED and (key != "error" or ERRORS.fullmatch(str(value)))
    }


class ClassifiedLogs(LogRecordExporter):
    """Exports log records with classified attributes only, and those of libraries without their texts."""

    def __init__(self, exporter: LogRecordExporter) -> None:
        self.exporter = exporter

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        return self.exporter.export([classified_record(record) for record in batch])

    def shutdown(self) -> None:
        self.exporter.shutdown()  # type: ignore[no-untyped-call]

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self.exporter.force_flush(timeout_millis)


def classified_record(readable: ReadableLogRecord) -> ReadableLogRecord:
    record, scope = copy(readable.log_record), readable.instrumentation_scope
    record.attributes = classified_only(record.attributes)
    if scope is None or scope.name != SCOPE:
        record.body = scope.name if scope else None
    return replace(readable, log_record=record)
