"""Spans and metrics of Strands: `invoke_agent`, `execute_event_loop_cycle`, `chat` and `execute_tool`, and tokens.

Strands 1.62 writes what was said into events, arguments and results of tools into attributes, and the texts of errors
into both, unless it is told to redact. The texts of errors stay: `classified.py` drops them.
"""

from __future__ import annotations

import os
from typing import Any

from opentelemetry.trace import NoOpTracer, NoOpTracerProvider
from strands.telemetry import get_tracer

from app.observability.runtimes import RuntimeTelemetry
from app.observability.telemetry import Telemetry

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
REDACTED = ("gen_ai_latest_experimental", "gen_ai_unredacted_attributes=")  # no attribute is unredacted


class StrandsTelemetry(RuntimeTelemetry):
    @staticmethod
    def prepare() -> None:
        redact()
        tracer = get_tracer()  # one for the process, which reads the environment here
        tracer.tracer_provider = NoOpTracerProvider()
        tracer.tracer = NoOpTracer()

    @staticmethod
    def start(runtime: Any, telemetry: Telemetry) -> None:
        tracer = get_tracer()
        tracer.tracer_provider = telemetry.tracers
        tracer.tracer = telemetry.tracers.get_tracer(tracer.service_name)


def redact() -> None:
    """Add REDACTED to the environment, where Strands looks for it. Other tokens stay, except of unredacted ones."""
    given = [token.strip() for token in os.environ.get(OPT_IN, "").split(",")]
    others = [token for token in given if token and token.partition("=")[0] not in ",".join(REDACTED)]
    os.environ[OPT_IN] = ",".join([*others, *REDACTED])
