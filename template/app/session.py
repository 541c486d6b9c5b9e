"""A conversation in progress: what a tool may know of it and do to it. All that `agent/` imports of `app/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage

    from app.brain import Turn


class NotOffered(Exception):
    """The chosen path cannot do this to a call."""


class Line:
    """The call itself. A path overrides what Twilio lets it do; the rest says so by raising NotOffered."""

    open = True

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        """Leave the call after the words of this turn. `handoff` reaches the `<Connect action>` route."""
        raise NotOffered("end")

    async def play(self, source: str, loop: int = 1) -> None:
        """Play an audio file (https URL) to the caller, `loop` times."""
        raise NotOffered("play")

    async def send_digits(self, digits: str) -> None:
        """Press keys on the far end: 0-9, *, # and w for a pause of half a second."""
        raise NotOffered("send_digits")

    async def switch_language(self, code: str) -> None:
        """Hear and speak another of the languages that the project declares, as in "es-MX"."""
        raise NotOffered("switch_language")


@dataclass
class Session:
    """One call. Numbers are E.164; `now` is the project's clock (UTC); `hearing` is what the caller is just saying."""

    call_sid: str
    caller: str
    called: str
    language: str
    now: Callable[[], datetime]
    line: Line = field(default_factory=Line)
    parameters: Mapping[str, str] = field(default_factory=dict)
    greeting: str = ""
    hearing: str = ""
    history: list[ModelMessage] = field(default_factory=list)
    turn: Turn | None = None
    ending: bool = False
    reconnects: int = 0


_this_call: ContextVar[Session] = ContextVar("this_call")
working_for = _this_call.set


def this_call() -> Session:
    """The call that the running tool works for. Raises LookupError outside a call."""
    return _this_call.get()
