"""Where the time of a turn goes: in segments that do not overlap and sum to it."""

from __future__ import annotations

from time import perf_counter_ns, time_ns

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span

import app.observability.names as names
from app.session import Session
from app.turn import Turn

TURN = context.create_key("turn")


class MeasuredTurn:
    """A turn that goes on. `session` and `turn` are those of the brain; times are in nanoseconds of perf_counter.

    A token that the consumer holds counts as `send`, whatever the agent does meanwhile; a tool comes before memory, and
    what is neither is `first_token` until there is one, `stream` afterwards. `receive` is the time from the frame with
    the user's words to the first look at the reply.
    """

    def __init__(self, session: Session, turn: Turn | None, received: int | None) -> None:
        self.session = session
        self.turn = turn
        began = perf_counter_ns()
        self.start = received or began
        self.to_unix = time_ns() - perf_counter_ns()  # plus a time of perf_counter is the time of the day
        self.segments = dict.fromkeys(names.SEGMENTS, 0)
        self.segments["receive"] = began - self.start
        self.since = began
        self.span: Span = trace.INVALID_SPAN
        self.context = Context()
        self.has_token = self.held = self.closed = self.apologised = self.hung_up = False
        self.running = {"context": 0, "tool": 0}

    @property
    def segment(self) -> str:
        if self.held:
            return "send"
        if self.running["tool"]:
            return "tool"
        if self.running["context"]:
            return "memory"
        return "stream" if self.has_token else "first_token"

    def mark(self) -> int:
        """To be called before the segment changes. Returns the time."""
        now = perf_counter_ns()
        if not self.closed:
            self.segments[self.segment] += now - self.since
            self.since = now
        return now

    def begins(self, kind: str) -> int:
        now = self.mark()
        self.running[kind] += 1
        return now

    def ends(self, kind: str) -> int:
        now = self.mark()
        self.running[kind] -= 1
        return now

    def hold(self, held: bool) -> None:
        """The consumer has a token, or has asked for the next one."""
        self.mark()
        self.has_token, self.held = True, held

    def close(self) -> int:
        end = self.mark()
        self.closed = True
        return end

    def end_reason(self, exhausted: bool) -> str:
        """`exhausted` is True when the consumer has taken the whole reply."""
        if exhausted and self.turn and self.turn.complete:
            return "completed"
        if self.hung_up or not self.session.connection.open:
            return "session_closed"
        if not exhausted or (self.turn and self.turn.stopped):
            return "interrupted"
        return "failed"
