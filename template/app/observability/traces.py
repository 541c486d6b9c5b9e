"""Trace ids. All that is measured of one call, on any worker, is in the trace that its CallSid gives."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from hashlib import sha256

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanContext, TraceFlags

CALL_SID = re.compile(r"CA[0-9a-f]{32}")
CONVERSATION = context.create_key("conversation")  # the id of the conversation that the current work belongs to
SPAN_ID = context.create_key("span-id")


class TraceIds(RandomIdGenerator):
    """A span without a parent, in the context of a call, gets the trace id of the call. Samplers decide by this id."""

    def generate_trace_id(self) -> int:
        id = context.get_value(CONVERSATION)
        return trace_id_of(id) if is_call(id) else super().generate_trace_id()

    def generate_span_id(self) -> int:
        own = context.get_value(SPAN_ID)
        return own if isinstance(own, int) else super().generate_span_id()


def is_call(conversation: object) -> bool:
    return isinstance(conversation, str) and CALL_SID.fullmatch(conversation) is not None


def trace_id_of(call_sid: object) -> int:
    return int.from_bytes(sha256(f"call {call_sid}".encode()).digest()[:16])


def root_span_id_of(call_sid: object) -> int:
    """The id of the span over the whole call, if there is one."""
    return int.from_bytes(sha256(f"call {call_sid}".encode()).digest()[16:24])


def span_context_of(call_sid: object, sampled: bool = True) -> SpanContext:
    """What a link to a call, or the parent of its spans, refers to."""
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(trace_id_of(call_sid), root_span_id_of(call_sid), is_remote=True, trace_flags=flags)


def context_of(conversation_id: str) -> Context:
    """A context for spans of this conversation that have no parent, also for what Twilio reports later."""
    return context.set_value(CONVERSATION, conversation_id, trace.set_span_in_context(trace.INVALID_SPAN))


def is_left_out(span: Span) -> bool:
    """Whether the trace of this span is not sampled."""
    found = span.get_span_context()
    return found.is_valid and not found.trace_flags.sampled


@contextmanager
def attached(current: Context) -> Iterator[None]:
    """What is measured and logged inside belongs to this context."""
    before = context.attach(current)
    try:
        yield
    finally:
        context.detach(before)


async def made_in(current: Context, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
    """The tokens. Each is made in this context, and used in that of the consumer."""
    async with aclosing(tokens) as stream:
        make = stream.__anext__
        while True:
            before = context.attach(current)  # not `attached`, which costs a tenth of what a turn may
            try:
                token = await make()
            except StopAsyncIteration:
                return
            finally:
                context.detach(before)
            yield token
