"""Reads events and errors that Twilio reports. What has another shape than documented is None, and never raises."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.observability.traces import is_call

ERROR_SID = re.compile("[A-Z]{2}[0-9a-f]{32}")
CODE = re.compile(r"\d{4,6}")
PLAUSIBLE_YEARS = range(2000, 2200)  # others have no nanoseconds that OTLP can hold
PRODUCT = re.compile("[A-Za-z][A-Za-z ]{1,39}")


@dataclass(frozen=True)
class StreamEvent:
    """An event of Event Streams (CloudEvents 1.0). `id` is the same when it is repeated."""

    id: str
    type: str
    at: datetime | None
    data: Mapping[str, Any]


@dataclass(frozen=True)
class LoggedError:
    """An error or a warning. `sid` is Twilio's, `level` error, warning, or another one; `call` a CallSid, or ""."""

    sid: str
    code: str
    level: str
    product: str
    call: str
    at: datetime | None


def events_of(body: Mapping[str, Any]) -> Iterator[StreamEvent]:
    """The events of a webhook: a list under `items`, or one alone (a sink without `batch_events`)."""
    for each in body.get("items", [body]):
        fields = each if isinstance(each, dict) else {}
        id, type, data = text(fields.get("id")), text(fields.get("type")), json_of(fields.get("data"))
        if id and type:
            yield StreamEvent(id, type, time_of(fields.get("time")), data)


def error_of(event: StreamEvent) -> LoggedError | None:
    """The error of an event of the type `error.logged`, version 2. `correlation_sid` is the resource that failed.

    Source: https://www.twilio.com/docs/events/event-types/errors/error-logs, read on 2026-11-29
    """
    data = event.data
    sid, product = text(data.get("sid")) or event.id, text(data.get("product_name"))
    at = time_of(data.get("date_created")) or event.at
    return error(sid, data.get("error_code"), data.get("level"), product, data, json_of(data.get("payload")), at)


def reported_error(form: Mapping[str, Any]) -> LoggedError | None:
    """The error that the Debugger's webhook reports."""
    payload = json_of(form.get("Payload"))
    code, at = payload.get("error_code"), time_of(form.get("Timestamp"))
    return error(text(form.get("Sid")), code, form.get("Level"), "", form, payload, at)


def error(
    sid: str,
    code: Any,
    level: Any,
    product: str,
    data: Mapping[str, Any],
    payload: Mapping[str, Any],
    at: datetime | None,
) -> LoggedError | None:
    if not ERROR_SID.fullmatch(sid):
        return None
    code = code if isinstance(code, int | str) else ""
    return LoggedError(
        sid,
        str(code) if CODE.fullmatch(str(code)) else "",
        text(level).lower(),
        product if PRODUCT.fullmatch(product) else "",
        call_of(data.get("correlation_sid"), payload.get("resource_sid"), parameter(payload, "CallSid")),
        at,
    )


def parameter(payload: Mapping[str, Any], name: str) -> Any:
    """A parameter of the webhook that failed."""
    request = fields(fields(payload, "webhook"), "request")
    return fields(request, "parameters").get(name)


def call_of(*sids: Any) -> str:
    """The first CallSid, or ""."""
    return next((sid for sid in sids if is_call(sid)), "")


def fields(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside another one; empty when there is none."""
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def json_of(value: Any) -> Mapping[str, Any]:
    """An object, also as JSON text; empty when there is none."""
    try:
        parsed = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


def text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def time_of(value: Any) -> datetime | None:
    """A time in ISO 8601, in UTC if it names no zone."""
    try:
        found = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    if found.year not in PLAUSIBLE_YEARS:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
