"""Webhooks and frames: which conversation they belong to, when words came in, and when a reply went out."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, MutableMapping
from time import perf_counter_ns
from typing import Any

from opentelemetry import context, trace
from opentelemetry.trace import Span
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import app.observability.names as names
from app.observability.traces import context_of, is_call, span_context_of
from app.observability.turns import MeasuredTurn

# In the forms of calls, and in the JSON of Conversation Orchestrator.
ID = re.compile(rb'(?:^|&)CallSid=(CA[0-9a-f]{32})(?=&|$)|"conversationId"\s*:\s*"([\w-]{1,64})"')
# Inside a text, JSON escapes the quotes.
PROMPT = re.compile(r'"type"\s*:\s*"prompt"')
LAST = re.compile(r'"last"\s*:\s*true')
NOT_LAST = re.compile(r'"last"\s*:\s*false')


class Requests:
    """ASGI middleware. `turns` are those that go on, by the id of their session.

    `received` gets the time at which the words of a turn came, by the id of the call. `sent` is called with a turn, the
    times of its first frame and after its last one, how many there were, and the time that sending took.
    """

    def __init__(
        self,
        app: ASGIApp,
        turns: MutableMapping[str, MeasuredTurn],
        received: MutableMapping[str, int],
        sent: Callable[[MeasuredTurn, int, int, int, int], None],
    ) -> None:
        self.app = app
        self.turns = turns
        self.received = received
        self.sent = sent

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        before = context.get_current()
        try:
            if scope["type"] == "http":
                await self.app(scope, named(receive, trace.get_current_span()), send)
            elif scope["type"] == "websocket":
                frames = Frames(self, receive, send)
                await self.app(scope, frames.receive, frames.send)
            else:
                await self.app(scope, receive, send)
        finally:
            context.attach(before)


def named(receive: Receive, span: Span) -> Receive:
    """Gives the span of a webhook, and the context of its handler, the id of the conversation in its body."""

    async def read() -> Message:
        message = await receive()
        if found := ID.search(message.get("body", b"")):
            id = (found[1] or found[2]).decode()
            span.set_attribute(names.CONVERSATION, id)
            if is_call(id):
                span.add_link(span_context_of(id))  # its trace: FastAPI had begun this one before the body came
            context.attach(trace.set_span_in_context(trace.get_current_span(), context_of(id)))
        return message

    return read


class Frames:
    """One WebSocket of ConversationRelay. From the setup on, its task works in the context of the call."""

    def __init__(self, requests: Requests, receive: Receive, send: Send) -> None:
        self.requests = requests
        self._receive = receive
        self._send = send
        self.span = trace.get_current_span()
        self.call_sid = ""
        self.turn: MeasuredTurn | None = None  # of the frames that are being sent
        self.first = self.last = self.count = self.taken = 0

    async def receive(self) -> Message:
        message = await self._receive()
        now = perf_counter_ns()
        if message["type"] == "websocket.disconnect":
            if turn := self.requests.turns.get(self.call_sid):
                turn.hung_up = True
            self.finish()
            self.requests.received.pop(self.call_sid, None)
        elif text := message.get("text"):
            self.read(text, now)
        return message

    def read(self, text: str, now: int) -> None:
        if not self.call_sid and '"setup"' in text:
            if is_call(call_sid := call_sid_of(text)):
                self.call_sid = call_sid
                self.span.set_attribute(names.CONVERSATION, call_sid)
                self.span.add_link(span_context_of(call_sid))
                context.attach(context_of(call_sid))
        elif self.call_sid and PROMPT.search(text) and not NOT_LAST.search(text):
            self.requests.received[self.call_sid] = now
        else:
            self.requests.received.pop(self.call_sid, None)

    async def send(self, message: Message) -> None:
        turn = self.requests.turns.get(self.call_sid)
        if turn and turn is not self.turn:
            self.finish()
            self.turn, self.first = turn, perf_counter_ns()
        if self.turn is None or message["type"] != "websocket.send":
            await self._send(message)
            return
        began = perf_counter_ns()
        try:
            await self._send(message)
        finally:
            self.last = perf_counter_ns()
            self.count += 1
            self.taken += self.last - began
        if LAST.search(message.get("text") or ""):
            self.finish()

    def finish(self) -> None:
        """Report the frames of a turn."""
        if self.turn and self.count:
            self.requests.sent(self.turn, self.first, self.last, self.count, self.taken)
        self.turn = None
        self.count = self.taken = 0


def call_sid_of(setup: str) -> Any:
    try:
        frame = json.loads(setup)
    except (ValueError, RecursionError):
        return None
    return frame.get("callSid") if isinstance(frame, dict) else None
