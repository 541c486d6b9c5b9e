"""Observability: spans of each turn and its hops, and metrics, without a word that was said. See `names.py`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Coroutine
from contextlib import aclosing
from time import perf_counter_ns, time_ns
from typing import Any, Self, TypeVar

from fastapi import FastAPI
from opentelemetry import _logs, context, metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from pydantic import Field

from app import config
from app.capability import Capability, Services
from app.observability import names
from app.observability.durations import Durations
from app.observability.health import Health
from app.observability.logs import export
from app.observability.requests import Requests
from app.observability.runtimes import RuntimeTelemetry, SpansOfTurns
from app.observability.store import ObservedStore
from app.observability.telemetry import Telemetry
from app.observability.traces import (
    CONVERSATION,
    SPAN_ID,
    attached,
    context_of,
    is_left_out,
    made_in,
    root_span_id_of,
    span_context_of,
    trace_id_of,
)
from app.observability.turns import TURN, MeasuredTurn
from app.runtimes import TOOL_FAILED
from app.session import Session
from app.settings import Settings
from app.turn import Turn

T = TypeVar("T")
FAILED = TOOL_FAILED.partition("{")[0]


class ObservabilitySettings(Settings):
    otlp_endpoint: str | None = Field(
        None,
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        pattern=r"^(https?://[^\s?#]+)?$",
        examples=[""],  # what simulated agents do is sent nowhere
        description="Write the address of an OpenTelemetry collector, as in http://localhost:4318, or leave it out.",
    )
    call_span: bool = Field(
        False,
        alias="AGENT_CALL_SPAN",
        description="Write true for a span over each whole call, with its turns inside, or leave it out.",
    )


class Observability(Capability):
    """Measures nothing without OTEL_EXPORTER_OTLP_ENDPOINT. Tests give a Telemetry of their own."""

    settings = ObservabilitySettings
    log_export = staticmethod(export)

    services: Services | None = None
    call_span = False

    def __init__(self, telemetry: Telemetry | None) -> None:
        self.telemetry = telemetry
        tracers: Any = telemetry.tracers if telemetry else trace.NoOpTracerProvider()
        self.tracer: trace.Tracer = tracers.get_tracer(names.SCOPE)
        meters = telemetry.meters if telemetry else metrics.NoOpMeterProvider()
        self.durations = Durations(meters)
        self.health = Health(meters)
        self.turns: dict[str, MeasuredTurn] = {}  # in progress, by the id of the session
        self.received: dict[str, int] = {}  # by the id of the call: when the words of its next turn came

    @classmethod
    def build(cls, services: Services) -> Self:
        endpoint = services.settings.otlp_endpoint
        own = cls(Telemetry.build(endpoint) if endpoint else None)
        own.services = services
        own.call_span = bool(endpoint) and services.settings.call_span
        if endpoint and services.store.shared:  # the other one is a dict
            services.store = services.sessions.store = ObservedStore(services.store, own._request)
        return own

    def observe_app(self, app: FastAPI) -> None:
        """Frameworks look for the providers of the process."""
        if self.telemetry:
            trace.set_tracer_provider(self.telemetry.tracers)
            metrics.set_meter_provider(self.telemetry.meters)
            _logs.set_logger_provider(self.telemetry.loggers)
            app.add_middleware(Requests, turns=self.turns, received=self.received, sent=self._sent)
            self.health.start(app)
            for part in self.services.parts_of(RuntimeTelemetry) if self.services else ():
                part.prepare()

    def observe_tokens(self, hop: str, session: Session, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        if not self.telemetry:
            return tokens
        return self._model(session, tokens) if hop == "model" else self._turn(session, session.turn, tokens)

    async def _turn(self, session: Session, turn: Turn | None, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        measured = MeasuredTurn(session, turn, self.received.pop(session.id, None))
        self._begin(measured)
        self.turns[session.id] = measured
        exhausted = False
        try:
            async with aclosing(made_in(measured.context, tokens)) as stream:
                async for token in stream:
                    measured.hold(True)
                    yield token
                    measured.hold(False)
            exhausted = True
        finally:
            self._end(measured, exhausted)

    def _begin(self, measured: MeasuredTurn) -> None:
        session = measured.session
        webhook = trace.get_current_span().get_span_context()  # what brought a written message
        links = [Link(webhook)] if webhook.is_valid and not session.connection.spoken else None
        begins = measured.start + measured.to_unix
        with attached(self._outside(session)):
            attributes = {names.OPERATION: names.HOPS["turn"], **attributes_of(session)}
            name = f"{names.HOPS['turn']} {config.PROJECT}"
            measured.span = self.tracer.start_span(name, attributes=attributes, links=links, start_time=begins)
            measured.context = context.set_value(TURN, measured, trace.set_span_in_context(measured.span))
        if received := measured.segments["receive"]:
            self._hop("receive", session, received)
            self._span("receive", measured, begins, measured.since + measured.to_unix)

    def _outside(self, session: Session) -> Context:
        """The context of a turn: in the span of its call, which is written when the call ends, or in none."""
        outside = context_of(session.id)
        if not (self.call_span and session.connection.spoken and self.telemetry):
            return outside
        sampler = self.telemetry.tracers.sampler
        decision = sampler.should_sample(None, trace_id_of(session.id), names.CALL_SPAN).decision
        parent = span_context_of(session.id, sampled=decision is Decision.RECORD_AND_SAMPLE)
        return trace.set_span_in_context(trace.NonRecordingSpan(parent), outside)

    async def on_start(self, session: Session) -> None:
        if self.call_span and session.connection.spoken:
            session.state[names.CALL_SPAN] = time_ns()

    async def on_end(self, session: Session) -> None:
        """On any worker, with the id that the turns have named as their parent."""
        began = session.state.get(names.CALL_SPAN)
        if self.call_span and isinstance(began, int):
            with attached(context.set_value(SPAN_ID, root_span_id_of(session.id), context_of(session.id))):
                attributes = attributes_of(session)
                self.tracer.start_span(names.CALL_SPAN, attributes=attributes, start_time=began).end()

    def _end(self, measured: MeasuredTurn, exhausted: bool) -> None:
        end = measured.close()
        if self.turns.get(measured.session.id) is measured:
            del self.turns[measured.session.id]
        reason = measured.end_reason(exhausted)
        self.durations.turn(end - measured.start, measured.segments, channel_of(measured.session), reason)
        if measured.span.is_recording():
            seconds = {names.SEGMENTS[name]: taken / 1e9 for name, taken in measured.segments.items()}
            measured.span.set_attributes({**seconds, names.END_REASON: reason, names.APOLOGY: measured.apologised})
            if reason == "failed":
                measured.span.set_status(Status(StatusCode.ERROR))
            measured.span.end(end + measured.to_unix)

    def _sent(self, measured: MeasuredTurn, first: int, last: int, count: int, taken: int) -> None:
        to_unix = measured.to_unix
        self._hop("send", measured.session, taken)
        self._span("send", measured, first + to_unix, last + to_unix, {names.FRAMES: count})

    def _span(self, hop: str, measured: MeasuredTurn, start: int, end: int, more: dict[str, Any] | None = None) -> None:
        """A part of a turn that is over. Times are in nanoseconds since 1970."""
        if measured.span.get_span_context().trace_flags.sampled:
            attributes = attributes_of(measured.session) | (more or {})
            span = self.tracer.start_span(
                names.HOPS[hop], context=measured.context, attributes=attributes, start_time=start
            )
            span.end(end)

    async def _model(self, session: Session, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        current = self._context(session)
        span = self._start("model", session, current, SpanKind.CLIENT)
        inside = trace.set_span_in_context(span, current) if span else current
        start, first = perf_counter_ns(), None
        error: Exception | None = None
        try:
            async with aclosing(tokens if inside is context.get_current() else made_in(inside, tokens)) as stream:
                async for token in stream:
                    if first is None:
                        first = perf_counter_ns() - start
                        self._hop("first_token", session, first)
                    yield token
        except Exception as raised:
            error = raised
            raise
        finally:
            self._hop("model", session, perf_counter_ns() - start, error=type(error).__name__ if error else None)
            if span:
                if first is not None:
                    span.set_attribute(names.FIRST_CHUNK, first / 1e9)
                end_span(span, type(error).__name__ if error else None)

    def observe_work(self, hop: str, session: Session, work: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        return self._work(hop, session, self.turns.get(session.id), work) if self.telemetry else work

    async def _work(self, hop: str, session: Session, measured: MeasuredTurn | None, work: Coroutine[Any, Any, T]) -> T:
        kind, _, tool = hop.partition(" ")
        current = self._context(session, measured)
        span = self._start(kind, session, current, tool=tool)
        before = context.attach(trace.set_span_in_context(span, current) if span else current)
        failure, start = None, perf_counter_ns()
        if measured:
            measured.begins(kind)
        try:
            result = await work
            failure = tool_failure(result)
            return result
        except Exception as error:
            failure = type(error).__name__
            raise
        finally:
            if measured:
                measured.ends(kind)
            context.detach(before)
            self._hop(kind, session, perf_counter_ns() - start, tool, failure)
            if span:
                end_span(span, failure)

    async def _request(self, operation: str, store: str, request: Awaitable[T]) -> T:
        """A request to the store. One outside of every conversation has no span."""
        facts = {names.STORE: store, names.STORE_OPERATION: operation}
        parent = trace.get_current_span().get_span_context()
        sampled = parent.trace_flags.sampled if parent.is_valid else context.get_value(CONVERSATION) is not None
        span = self.tracer.start_span(f"store {operation}", kind=SpanKind.CLIENT, attributes=facts) if sampled else None
        start, failure = perf_counter_ns(), None
        try:
            return await request
        except Exception as error:
            failure = type(error).__name__
            raise
        finally:
            self.durations.hop("store", perf_counter_ns() - start, facts)
            if span:
                end_span(span, failure)

    def _hop(self, hop: str, session: Session, taken: int, tool: str = "", error: str | None = None) -> None:
        named = {names.TOOL_NAME: tool} if tool else {}
        failed = {names.ERROR: error} if error else {}
        self.durations.hop(hop, taken, {names.CHANNEL: channel_of(session), **named, **failed})

    def _context(self, session: Session, measured: MeasuredTurn | None = None) -> Context:
        """The context of the turn. A runtime may work in a task of its own, which has that of an earlier turn."""
        measured = measured or self.turns.get(session.id)
        current = context.get_current()
        return current if measured is None or context.get_value(TURN) is measured else measured.context

    def _start(
        self, hop: str, session: Session, current: Context, kind: SpanKind = SpanKind.INTERNAL, tool: str = ""
    ) -> Span | None:
        """A span inside `current`; None when the turn is not sampled."""
        if is_left_out(trace.get_current_span(current)):
            return None
        own = {names.OPERATION: names.HOPS["tool"], names.TOOL_NAME: tool} if tool else {}
        attributes = attributes_of(session) | own
        return self.tracer.start_span(
            f"{names.HOPS[hop]} {tool}".strip(), context=current, kind=kind, attributes=attributes
        )

    def count(self, event: str, **facts: str) -> None:
        self.health.count(event, facts)
        measured = context.get_value(TURN)
        if event == "apology" and isinstance(measured, MeasuredTurn):
            measured.apologised = True

    async def open(self) -> None:
        """The runtime has warmed up before: that is no conversation."""
        if self.telemetry and self.services:
            self.telemetry.tracers.add_span_processor(SpansOfTurns())
            for part in self.services.parts_of(RuntimeTelemetry):
                part.start(self.services.runtime, self.telemetry)

    async def close(self) -> None:
        if self.telemetry:
            await asyncio.to_thread(self.telemetry.close)


def attributes_of(session: Session) -> dict[str, Any]:
    """The id is that of the session: of a call its CallSid, which Twilio and other workers know too."""
    return {
        names.CONVERSATION: session.id,
        names.AGENT: config.PROJECT,
        names.CHANNEL: channel_of(session),
    }


def channel_of(session: Session) -> str:
    return "voice" if session.connection.spoken else "messaging"


def tool_failure(result: object) -> str | None:
    """The type of the error in what the model gets of a tool that raised, or None."""
    if not isinstance(result, str) or not result.startswith(FAILED):
        return None
    name = result[len(FAILED) :].partition(")")[0]
    return name if name.isidentifier() else None


def end_span(span: Span, error: str | None) -> None:
    if error:
        span.set_attribute(names.ERROR, error)
        span.set_status(Status(StatusCode.ERROR))
    span.end()
