"""Spans and metrics of pydantic-ai: `chat`, tokens, cost and time to the first chunk.

Models are instrumented and not the agent, whose `invoke_agent` and `execute_tool` are those of the turn once more.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from time import perf_counter
from typing import Any

from opentelemetry import trace
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import ModelRequestParameters, StreamedResponse
from pydantic_ai.models.instrumented import InstrumentationSettings, InstrumentedModel
from pydantic_ai.settings import ModelSettings

import app.observability.names as names
from app.observability.runtimes import RuntimeTelemetry
from app.observability.telemetry import Telemetry
from app.observability.traces import is_left_out
from app.runtimes.models import Models


class PydanticAITelemetry(RuntimeTelemetry):
    @staticmethod
    def start(runtime: Models, telemetry: Telemetry) -> None:
        settings = WithoutMessages(
            tracer_provider=telemetry.tracers,
            meter_provider=telemetry.meters,
            include_content=False,
            include_binary_content=False,
            include_model_request_parameters=False,  # the schemas of all tools, with each request
        )
        for model in runtime.models:
            model.wrapped = SampledModel(model.wrapped, settings)


class WithoutMessages(InstrumentationSettings):
    def handle_messages(self, *_: Any, **__: Any) -> None:
        """Not even the shape of the history, which is written with each request and let through by no exporter."""


class SampledModel(InstrumentedModel):
    """Of a turn that is not sampled, only metrics: pydantic-ai prepares a span also where there is none."""

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncGenerator[StreamedResponse]:
        request = messages, model_settings, model_request_parameters, run_context
        if not is_left_out(trace.get_current_span()):
            async with super().request_stream(*request) as stream:
                yield stream
            return
        start = perf_counter()
        async with self.wrapped.request_stream(*request) as stream:
            try:
                yield stream
            finally:
                self._measure(stream.get(), stream.time_to_first_chunk(start))

    def _measure(self, answer: ModelResponse, first_chunk: float | None) -> None:
        price = None
        with suppress(Exception):  # no price is known, or no usage: no reason to lose the answer
            price = answer.cost()
        attributes: dict[str, Any] = {
            names.OPERATION: names.CHAT,
            **dict.fromkeys((names.PROVIDER, names.SYSTEM), self.system),
            names.REQUEST_MODEL: self.model_name,
            names.RESPONSE_MODEL: answer.model_name or self.model_name,
        }
        self.instrumentation_settings.record_metrics(answer, price, attributes, first_chunk)
