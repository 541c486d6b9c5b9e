"""Spans and metrics of pydantic-ai: `invoke_agent`, `chat` and `execute_tool`, tokens and time to the first chunk."""

from __future__ import annotations

from pydantic_ai.models.instrumented import InstrumentationSettings

from app import config
from app.observability.runtimes import RuntimeTelemetry
from app.observability.telemetry import Telemetry
from app.runtimes.models import Models


class PydanticAITelemetry(RuntimeTelemetry):
    @staticmethod
    def start(runtime: Models, telemetry: Telemetry) -> None:
        runtime.agent.name = config.PROJECT
        runtime.agent.instrument = InstrumentationSettings(
            tracer_provider=telemetry.tracers,
            meter_provider=telemetry.meters,
            include_content=False,
            include_binary_content=False,
            include_model_request_parameters=False,  # the schemas of all tools, with each request
        )
