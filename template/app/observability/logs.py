"""Log lines with the ids of trace and conversation, and as log records over OTLP."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from time import time_ns

from opentelemetry import _logs, context, trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY
from opentelemetry.trace import format_span_id, format_trace_id
from structlog.processors import CallsiteParameter, CallsiteParameterAdder
from structlog.typing import EventDict, WrappedLogger

import app.observability.names as names
from app.observability.traces import CONVERSATION, is_call, trace_id_of

SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
    "critical": SeverityNumber.FATAL,
}
EVENT = re.compile(r"[a-z_]+(\.[a-z_]+)*")  # a name as in order.found; a sentence may have anything in it
SERVER = str(Path(__file__).parents[1])  # app/
CALLED_FROM = CallsiteParameterAdder([CallsiteParameter.PATHNAME], additional_ignores=[__name__])
emitter = _logs.get_logger(names.SCOPE)  # of the provider that the process gets later, if any


def export(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
    """Add the ids, and emit a record of the line: what the server logs, and of others no text."""
    event = {**event, **ids()}
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        # What the exporters log would be exported in turn.
        if not record.name.startswith("opentelemetry") and not context.get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            exported = {key: event[key] for key in ("exception", names.CONVERSATION) if key in event}
            code = f"{record.funcName}:{record.lineno}"
            _emit(event, record.name, {**exported, "logger": record.name, "code": code})
        return event
    exported = {key: value for key, value in event.items() if key not in ("event", "level", "timestamp")}
    if not str(CALLED_FROM(logger, method, dict(event)).get("pathname", "")).startswith(f"{SERVER}/"):
        exported = {key: value for key, value in exported.items() if isinstance(value, bool | int | float)}
        exported |= {key: event[key] for key in ("exception",) if key in event}
    name = str(event["event"])
    _emit(event, name if EVENT.fullmatch(name) else "", exported)
    return event


def ids() -> dict[str, str]:
    """The current ids, as far as there are any."""
    conversation = context.get_value(CONVERSATION)
    span = trace.get_current_span().get_span_context()
    found = {"conversation": str(conversation)} if conversation else {}
    if span.is_valid:
        found |= {"trace_id": format_trace_id(span.trace_id), "span_id": format_span_id(span.span_id)}
    elif is_call(conversation):
        found["trace_id"] = format_trace_id(trace_id_of(conversation))
    return found


def _emit(event: EventDict, body: str, attributes: dict[str, object]) -> None:
    """The id of the conversation is that of the context, or the one that the line has itself."""
    conversation = next((event[key] for key in ("conversation", "call", "session") if event.get(key)), None)
    level = str(event.get("level", "info"))
    emitter.emit(
        timestamp=time_ns(),
        severity_number=SEVERITIES.get(level),
        severity_text=level,
        body=body,
        attributes={**attributes, **({names.CONVERSATION: conversation} if conversation else {})},
    )
