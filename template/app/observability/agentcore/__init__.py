"""One trace for a turn, in this server and in the runtime of AgentCore."""

from __future__ import annotations

from opentelemetry.baggage import set_baggage
from opentelemetry.context import get_value
from opentelemetry.propagate import inject

import app.observability.names as names
from app.observability.runtimes import RuntimeTelemetry
from app.observability.telemetry import Telemetry
from app.observability.traces import CONVERSATION
from app.runtimes.agentcore import AgentCore


class AgentCoreTelemetry(RuntimeTelemetry):
    @staticmethod
    def start(runtime: AgentCore, telemetry: Telemetry) -> None:
        runtime.trace = trace


def trace() -> dict[str, str]:
    """The current span and conversation as headers of W3C Trace Context and Baggage."""
    headers: dict[str, str] = {}
    inject(headers, set_baggage(names.CONVERSATION, get_value(CONVERSATION)))
    return headers
