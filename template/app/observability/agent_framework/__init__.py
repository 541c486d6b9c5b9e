"""Spans and metrics of Agent Framework: `invoke_agent` and `chat`, tokens and durations."""

from __future__ import annotations

from typing import Any

from agent_framework import BaseChatClient
from agent_framework.observability import ChatTelemetryLayer, enable_instrumentation

from app.observability.runtimes import RuntimeTelemetry
from app.observability.telemetry import Telemetry
from app.runtimes.microsoft_agents.base import AgentFrameworkRuntime, FallbackClient, model_name


class MeasuredClient(FallbackClient, ChatTelemetryLayer[Any], BaseChatClient[Any]):
    """Writes a span for each request."""

    @property
    def model(self) -> str:
        return model_name(self.clients[0])


class AgentFrameworkTelemetry(RuntimeTelemetry):
    @staticmethod
    def start(runtime: AgentFrameworkRuntime, telemetry: Telemetry) -> None:
        """Agent Framework takes the providers of the process."""
        enable_instrumentation(enable_sensitive_data=False, enable_message_events=False, force=True)
        runtime.client_type = MeasuredClient
