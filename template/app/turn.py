"""One turn of a conversation: the user's text, the agent's reply, and the history that both leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from pydantic_ai import messages as m

from app.history import UNANSWERED, filtered_message, size, tidy, unchanged
from app.markup import said

TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
TOOL_UNFINISHED = "This was interrupted before it finished. Its outcome is not known."


@dataclass
class Turn:
    """`spoken_text` was sent; `heard_text` is None unless the caller interrupted.

    `earlier` is what the model receives of earlier turns. `refused` is True when the models failed at once. What models
    and tools write passes `filtered`; work passes `observed`.
    """

    user_text: str
    earlier: Sequence[m.ModelMessage] = ()
    spoken_text: str = ""
    heard_text: str | None = None
    run_id: str = field(default_factory=lambda: uuid4().hex)
    record: Sequence[m.ModelMessage] = ()  # grows while the runtime works; may hold messages of other runs
    tools: dict[str, asyncio.Task[Any]] = field(default_factory=dict)  # by tool call id
    late: dict[str, asyncio.Task[Any]] = field(default_factory=dict)  # tools that timed out and still run in a thread
    interjections: list[m.ModelResponse] = field(default_factory=list)  # sent with session.say() during this turn
    task: asyncio.Task[None] | None = None
    ended: float | None = None  # when its last token was taken, in seconds of the event loop
    complete: bool = False
    stopped: bool = False
    refused: bool = False
    keyed: bool = False  # begun by keys
    reader: str = "spoken"  # as of Connection
    altered: bool = False  # what was sent is not all that the model wrote
    limits: Sequence[Any] = ()  # each a Limit of app/capability.py
    filtered: Callable[[Any], Any] = unchanged
    observed: Callable[..., Any] = lambda hop, work: work

    @property
    def messages(self) -> list[m.ModelMessage]:
        """The messages of this turn so far: request, tool calls, tool results, responses."""
        own = [message for message in self.record if message.run_id == self.run_id and message.parts]
        return own or [m.ModelRequest.user_text_prompt(self.user_text)]

    def is_cut_by(self, heard: str) -> bool:
        """Whether these are words of this turn. Keys begin one before the interruption of the last is reported."""
        return bool(self.spoken_text or self.interjections) or not (heard or self.keyed)

    @property
    def responded(self) -> bool:
        """Whether a model has sent a word or a tool call in this turn."""
        parts = [part for message in self.messages for part in message.parts]
        words = any(part.content.strip() for part in parts if isinstance(part, m.TextPart))
        return words or any(part.has_content() for part in parts if isinstance(part, m.ToolCallPart))

    def usage(self, instructions: str) -> list[list[Any]]:
        """Provider, model and tokens of each response. Of one that does not report them, the provider is "", and four
        characters are a token."""
        rows: list[list[Any]] = []
        for each in [message for message in self.messages if isinstance(message, m.ModelResponse)]:
            used = {name: number for name in TOKENS if (number := getattr(each.usage, name))}
            rows.append([each.provider_name if used else "", each.model_name or "", used, used or str(each.parts)])
        rows = rows or ([["", "", {}, self.spoken_text]] if self.spoken_text else [])
        for row in rows:
            asked = 0 if row[2] else len(instructions) + size(self.earlier) + len(self.user_text)
            row[2:] = [row[2] or {"input_tokens": asked // 4, "output_tokens": len(row[3]) // 4}]
        return rows

    def history(self) -> list[m.ModelMessage]:
        """The messages that later turns see: of the reply, only the text that the other party received."""
        history = self._with_tool_outcomes(self._history_as_heard())
        if self.refused:
            history[0] = m.ModelRequest.user_text_prompt(UNANSWERED)  # the text itself may be what was refused
        tidied = tidy([*history[:1], *self.interjections, *history[1:]])
        return [filtered_message(message, self.filtered) for message in tidied]

    def _history_as_heard(self) -> list[m.ModelMessage]:
        if self.complete and self.heard_text is None and not self.altered:
            return said(self.messages, self.reader)
        history: list[m.ModelMessage] = []
        for message in self.messages:
            # Providers reject a ThinkingPart without its TextPart, and a tool call without its ThinkingPart.
            calls = isinstance(message, m.ModelResponse) and message.tool_calls
            dropped = m.TextPart if calls else (m.TextPart, m.ThinkingPart)
            parts = [part for part in message.parts if not isinstance(part, dropped)]
            if parts:
                history.append(replace(message, parts=parts))  # type: ignore[arg-type]
        text = self.spoken_text if self.heard_text is None else self.heard_text
        return [*history, m.ModelResponse([m.TextPart(text)])] if text.strip() else history

    def _with_tool_outcomes(self, messages: Sequence[m.ModelMessage]) -> list[m.ModelMessage]:
        """The messages with a result for every tool call: providers reject a call without one."""
        parts = [part for message in messages for part in message.parts]
        answered = {part.tool_call_id for part in parts if isinstance(part, m.ToolReturnPart)}
        history: list[m.ModelMessage] = []
        for message in messages:
            history.append(message)
            calls = message.tool_calls if isinstance(message, m.ModelResponse) else []
            if unanswered := [call for call in calls if call.tool_call_id not in answered]:
                history.append(m.ModelRequest([self.tool_outcome(call) for call in unanswered]))
        return history

    def tool_outcome(self, call: m.ToolCallPart) -> m.ToolReturnPart:
        """The result of a tool that was still running when the caller interrupted; most have finished by now."""
        task = self.tools.get(call.tool_call_id)
        returned = task and task.done() and not task.cancelled() and not task.exception()
        content = task.result() if task and returned else TOOL_UNFINISHED
        return m.ToolReturnPart(call.tool_name, content, call.tool_call_id)
