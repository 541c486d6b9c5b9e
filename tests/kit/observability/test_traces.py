"""Trace ids that are derived from a CallSid."""

from __future__ import annotations

from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider

from app.observability.traces import TraceIds, context_of, trace_id_of

CALL_SID = "CA" + "7" * 32


def test_the_trace_of_a_call_is_its_sid_and_others_are_random() -> None:
    tracer = TracerProvider(id_generator=TraceIds(), shutdown_on_exit=False).get_tracer("test")
    ids = []
    for conversation in (CALL_SID, CALL_SID, "conv_1", "conv_1"):
        before = context.attach(context_of(conversation))
        ids.append(tracer.start_span("x").get_span_context().trace_id)
        context.detach(before)
    assert ids[0] == ids[1] == trace_id_of(CALL_SID) != 0
    assert len(set(ids)) == 3
