"""Observability: spans of each turn and its hops, and metrics, without a word that was said. See `names.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any, Self, TypeVar

from fastapi import FastAPI
from opentelemetry import context, metrics, trace
from pydantic import Field

from app import config
from app.capability import Capability, Services
from app.observability import names
from app.observability.health import Health
from app.observability.telemetry import Telemetry
from app.session import Session
from app.settings import Settings

T = TypeVar("T")


class ObservabilitySettings(Settings):
    otlp_endpoint: str | None = Field(
        None,
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        pattern=r"^https?://[^\s?#]+$",
        description="Write the address of an OpenTelemetry collector, as in http://localhost:4318, or leave it out.",
    )


class Observability(Capability):
    """Measures nothing without OTEL_EXPORTER_OTLP_ENDPOINT. Tests give a Telemetry of their own."""

    settings = ObservabilitySettings

    def __init__(self, telemetry: Telemetry | None) -> None:
        self.telemetry = telemetry
        tracers: Any = telemetry.tracers if telemetry else trace.NoOpTracerProvider()
        self.tracer: trace.Tracer = tracers.get_tracer(names.SCOPE)
        self.health = Health(telemetry.meters if telemetry else metrics.NoOpMeterProvider())

    @classmethod
    def build(cls, services: Services) -> Self:
        endpoint = services.settings.otlp_endpoint
        return cls(Telemetry.build(endpoint) if endpoint else None)

    def observe_app(self, app: FastAPI) -> None:
        """Frameworks look for the providers of the process."""
        if self.telemetry:
            trace.set_tracer_provider(self.telemetry.tracers)
            metrics.set_meter_provider(self.telemetry.meters)
            self.health.start(app)

    async def observe_tokens(self, hop: str, session: Session, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        span = self.tracer.start_span(names.HOPS[hop], attributes=self._attributes(session))
        current = trace.set_span_in_context(span)
        try:
            async with aclosing(tokens) as stream:
                while True:
                    before = context.attach(current)
                    try:
                        token = await anext(stream)
                    except StopAsyncIteration:
                        break
                    finally:
                        context.detach(before)
                    yield token
        finally:
            span.end()

    async def observe_work(self, hop: str, session: Session, work: Coroutine[Any, Any, T]) -> T:
        kind, _, tool = hop.partition(" ")
        attributes = self._attributes(session) | ({names.TOOL_NAME: tool} if tool else {})
        with self.tracer.start_as_current_span(names.HOPS[kind], attributes=attributes):
            return await work

    def count(self, event: str, **facts: str) -> None:
        self.health.count(event, facts)

    async def close(self) -> None:
        if self.telemetry:
            await asyncio.to_thread(self.telemetry.close)

    def _attributes(self, session: Session) -> dict[str, Any]:
        return {
            names.CONVERSATION: session.conversation_id or session.id,
            names.AGENT: config.PROJECT,
            names.CHANNEL: "voice" if session.connection.spoken else "messaging",
        }
