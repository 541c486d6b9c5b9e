"""The prompt, the tools and what answers. Words go in, words come out: always some, always in time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import structlog
from pydantic_ai import messages as m

import agent
from agent import tools
from app.capability import Capability, each
from app.runtime import Runtime
from app.session import Session, working_for

log = structlog.get_logger()

TOOL_UNFINISHED = "This was interrupted before it finished. Its outcome is not known."


def own_prompt() -> str:
    """The text of `agent/prompt.md`."""
    return Path(str(agent.__file__)).with_name("prompt.md").read_text(encoding="utf-8")


def own_tools() -> list[Callable[..., Any]]:
    """Every public function that `agent/tools.py` defines."""
    functions = inspect.getmembers(tools, inspect.isfunction)
    return [tool for name, tool in functions if not name.startswith("_") and tool.__module__ == tools.__name__]


@dataclass
class Turn:
    """What was asked and what came of it. `heard` stays None unless somebody interrupts."""

    asked: str
    said: str = ""
    heard: str | None = None
    run_id: str = field(default_factory=lambda: uuid4().hex)
    messages: Sequence[m.ModelMessage] = ()  # grows while the runtime works
    tools: dict[str, asyncio.Task[Any]] = field(default_factory=dict)
    asides: list[m.ModelResponse] = field(default_factory=list)  # said while the runtime worked
    answer: asyncio.Task[None] | None = None
    complete: bool = False
    stopped: bool = False

    @property
    def exchanged(self) -> list[m.ModelMessage]:
        """What has been said, asked of tools and answered in this turn so far."""
        own = [message for message in self.messages if message.run_id == self.run_id and message.parts]
        return own or [m.ModelRequest.user_text_prompt(self.asked)]

    def history(self) -> list[m.ModelMessage]:
        """The turn as the model should remember it: the words that arrived, and no others."""
        history = self._answered()
        return [*history[:1], *self.asides, *history[1:]]

    def _answered(self) -> list[m.ModelMessage]:
        if self.complete and self.heard is None:
            return self.exchanged
        history: list[m.ModelMessage] = []
        for message in self.exchanged:
            # Providers refuse a thought without the words it led to, and a call of a tool without its thought.
            calls = isinstance(message, m.ModelResponse) and message.tool_calls
            lost = m.TextPart if calls else (m.TextPart, m.ThinkingPart)
            parts = [part for part in message.parts if not isinstance(part, lost)]
            if parts:
                history.append(replace(message, parts=parts))  # type: ignore[arg-type]
        answered = {
            part.tool_call_id for message in history for part in message.parts if isinstance(part, m.ToolReturnPart)
        }
        for message in [message for message in history if isinstance(message, m.ModelResponse)]:
            unanswered = [call for call in message.tool_calls if call.tool_call_id not in answered]
            if unanswered:
                history.append(m.ModelRequest([self.outcome(call) for call in unanswered]))
        heard = self.said if self.heard is None else self.heard
        return [*history, m.ModelResponse([m.TextPart(heard)])] if heard.strip() else history

    def outcome(self, call: m.ToolCallPart) -> m.ToolReturnPart:
        """A tool that was at work at an interruption has finished by now, as a rule."""
        task = self.tools.get(call.tool_call_id)
        known = task and task.done() and not task.cancelled() and not task.exception()
        return m.ToolReturnPart(call.tool_name, task.result() if task and known else TOOL_UNFINISHED, call.tool_call_id)


class Brain:
    """Answers turns. `deadline` is how long, in seconds, a model may be silent."""

    def __init__(
        self,
        runtime: Runtime,
        prompt: str,
        tools: Sequence[Callable[..., Any]],
        capabilities: Sequence[Capability],
        deadline: float,
    ) -> None:
        self.runtime = runtime
        self.prompt = prompt
        self.tools = tools
        self.capabilities = capabilities
        self.deadline = deadline

    def reply(self, session: Session, text: str) -> AsyncGenerator[str]:
        """The words of one turn as the model gives them. Never raises; an apology is the last resort."""
        self.settle(session)
        session.ending = False  # whoever speaks over a goodbye wants to stay
        session.turn = Turn(text)  # at once: what was said counts even if nobody waits for the answer
        return self._words(session, session.turn)

    async def _words(self, session: Session, turn: Turn) -> AsyncGenerator[str]:
        told: asyncio.Queue[str | None] = asyncio.Queue()
        turn.answer = asyncio.create_task(self._answer(session, turn, told))
        patience = [f"{session.line.hold} "] if session.line.hold else []
        try:
            while True:
                try:
                    # Not wait_for: on Python 3.11 it loses a cancellation that meets a word, and the agent talks on.
                    async with asyncio.timeout(self.deadline if patience else 4 * self.deadline):
                        token = await told.get()
                except TimeoutError:
                    token = patience.pop() if patience else None
                if token is None:
                    break
                turn.said += token
                yield token
            if not (turn.complete or turn.stopped or session.ending):
                turn.said += (sorry := f" {session.line.apology}" if turn.said else session.line.apology)
                yield sorry
        finally:
            turn.answer.cancel()

    async def _answer(self, session: Session, turn: Turn, told: asyncio.Queue[str | None]) -> None:
        """Have the runtime answer; tell every word, then None."""
        working_for(session)
        answered: list[str] = []  # beside what is said to fill a silence

        def tell(word: str) -> None:
            answered.append(word)
            told.put_nowait(word)

        try:
            offered = [tool for tools in await each(self.capabilities, "tools", session) for tool in tools]
            own = {tool.__name__ for tool in self.tools}
            extra = [tool for tool in offered if tool.__name__ not in own]  # a name of your own is yours
            instructions = await self._instructions(session, turn.asked)
            await self.runtime.answer(session, turn, instructions, [*self.tools, *extra], tell)
            turn.complete = bool("".join(answered).strip() or session.ending)
        except Exception as error:
            log.error("model.failed", session=session.id, error=reason(error))
        finally:
            told.put_nowait(None)

    async def _instructions(self, session: Session, text: str) -> str:
        known = await each(self.capabilities, "context", session, text)
        now = f"It is {session.now():%A, %d %B %Y, %H:%M} UTC."
        greeting = f"You began with: {session.greeting}" if session.greeting else None
        return "\n\n".join(filter(None, [self.prompt, greeting, *known, *session.guidance, now]))

    def interrupted(self, session: Session, heard: str) -> None:
        """Only this much of the last thing that the agent said has arrived."""
        self.stop(session)
        if session.turn:
            session.turn.heard = heard
        elif not session.history:
            session.greeting = heard

    def stop(self, session: Session) -> None:
        """Ask the model no more. A tool that is at work finishes."""
        if session.turn and session.turn.answer:
            session.turn.stopped = True
            session.turn.answer.cancel()

    def settle(self, session: Session) -> None:
        """Close the last turn and write it into the history."""
        self.stop(session)
        if session.turn:
            session.history = [*session.history, *session.turn.history()]
            session.turn = None


def reason(error: BaseException) -> str:
    """Why a model failed, without what a provider may have quoted of the conversation."""
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(reason(each) for each in error.exceptions)
    return " ".join([type(error).__name__, *([str(error.status_code)] if hasattr(error, "status_code") else [])])
