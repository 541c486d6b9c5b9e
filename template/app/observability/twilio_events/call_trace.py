"""Spans that come after the fact, in the trace of their call."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from opentelemetry import trace

from app import config
from app.capability import Services
from app.observability import Observability, names
from app.observability.traces import attached, context_of


class CallTrace:
    def __init__(self, services: Services) -> None:
        self.services = services

    @property
    def observability(self) -> Observability | None:
        return next((each for each in self.services.capabilities if isinstance(each, Observability)), None)

    @property
    def on(self) -> bool:
        """False when nothing is measured."""
        return self.observability is not None and self.observability.telemetry is not None

    def record(
        self,
        name: str,
        call: str,
        attributes: Mapping[str, Any],
        start: datetime,
        end: datetime,
        failed: bool = False,
    ) -> None:
        """Record a span of the call with this CallSid. Attributes that are None or empty are left out."""
        observability = self.observability
        if observability is None or observability.telemetry is None:
            return
        found = {key: value for key, value in attributes.items() if value not in (None, "", [])}
        own = {names.CONVERSATION: call, names.CALL: call, names.AGENT: config.PROJECT}
        with attached(context_of(call)):
            span = observability.tracer.start_span(name, attributes={**own, **found}, start_time=nanoseconds(start))
            if failed:
                span.set_status(trace.StatusCode.ERROR)
            span.end(nanoseconds(end))


def nanoseconds(time: datetime) -> int:
    return int(time.timestamp() * 1e9)
