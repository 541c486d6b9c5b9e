"""Run one turn: instructions, tools, token stream, deadline, apology."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import structlog
from pydantic_ai.messages import ToolReturnPart
from pydantic_core import from_json, to_json

from app.capability import Background, Capability, Services, run_hooks
from app.event_loop import Deadline
from app.history import as_heard, bounded, clean, fit, views
from app.markup import without_markup
from app.runtimes import TOOL_TIMED_OUT, Runtime, safe_error_text
from app.runtimes.tools import tool_problem
from app.session import Session, set_session
from app.turn import TOOL_UNFINISHED, Turn

log = structlog.get_logger()

MAX_TURN = 12  # deadlines that a turn may take in all
LATE_RESULT_KEPT = 7 * 24 * 3600.0  # seconds


class Brain:
    """Answers turns. `deadline` is in seconds without a token: HOLD after one, the apology at most four later.

    A turn that goes on for MAX_TURN deadlines, or to a further request after MAX_ROUNDS, ends in the apology too.
    """

    def __init__(
        self,
        runtime: Runtime,
        prompt: str,
        tools: Sequence[Callable[..., Any]],
        services: Services,
        deadline: float,
    ) -> None:
        self.runtime = runtime
        self.prompt = prompt
        self.tools = tools
        self.services = services
        self.deadline = deadline
        self.waiting = Background()  # for tools whose turn has ended

    @property
    def capabilities(self) -> Sequence[Capability]:
        return self.services.capabilities

    def reply(self, session: Session, text: str) -> AsyncGenerator[str]:
        """The tokens of one turn as the model gives them. Never raises; the apology is the last resort."""
        self.commit_turn(session)
        session.ending = False  # a caller who speaks over a goodbye stays
        text = bounded(clean(text))
        for each in self.services.filters:
            text = each.filter_user_text(session, text)
        # Before the first await, so that the text is kept if the reply is never read.
        observed = partial(self.services.observed, session=session)
        reader = session.connection.reader
        session.turn = Turn(text, filtered=self.services.filtered, observed=observed, reader=reader)
        return self.services.observed_tokens("turn", session, self._stream(session, session.turn))

    async def _stream(self, session: Session, turn: Turn) -> AsyncGenerator[str]:
        tokens: asyncio.Queue[str | None] = asyncio.Queue()
        turn.task = asyncio.create_task(self._run(session, turn, tokens))
        hold: str | None = f"{session.connection.hold} " if session.connection.hold else None
        now = asyncio.get_running_loop().time
        end = now() + MAX_TURN * self.deadline
        try:
            while True:
                try:
                    # Not wait_for: on Python 3.11 it loses a cancellation that meets a token: the agent would speak on.
                    silence = self.deadline if hold else 4 * self.deadline
                    async with Deadline(min(silence, end - now())):
                        token = await tokens.get()
                except TimeoutError:
                    token, hold = hold, None
                if token is None or (now() >= end and not turn.complete):
                    break
                turn.spoken_text += token
                yield token
            if not (turn.complete or turn.stopped or session.ending):
                if not turn.task.done():  # else it has logged what failed
                    log.error("model.failed", session=session.id, error="TimeoutError")
                apology = f"{' ' if turn.spoken_text else ''}{session.connection.apology}"
                turn.spoken_text += apology
                self.services.count("apology")
                yield apology
        finally:
            turn.task.cancel()
            turn.ended = now()

    async def _run(self, session: Session, turn: Turn, tokens: asyncio.Queue[str | None]) -> None:
        """Put every token of the runtime into the queue, then None."""
        set_session(session)
        instructions = ""
        try:
            turn.limits = [limit for each in self.capabilities if (limit := each.limit(session))]
            tools = [*self.tools, *await self._capability_tools(session)]
            tools = [tool for tool in tools if all(tool.__name__ in limit.tools for limit in turn.limits)]
            if reached := await self.services.limits.reached(tokens_of(session.usage)):
                return await self._turn_away(session, turn, tokens, reached)
            instructions = await self.services.observed("context", session, self._instructions(session, turn))
            await self._add_late_results(session)
            answered = await self._answer(session, turn, instructions, tools, tokens)
            turn.complete = answered or session.ending
        except Exception as error:
            log.error("model.failed", session=session.id, error=safe_error_text(error))
        finally:
            tokens.put_nowait(None)
            used = turn.usage(instructions) if instructions else []
            session.usage += used
            self.services.limits.left -= tokens_of(used)
            for call_id in turn.late if turn.complete else turn.tools:
                self.waiting.start(self._keep_result(late_result_key(session, call_id), turn, call_id))

    async def _turn_away(self, session: Session, turn: Turn, tokens: asyncio.Queue[str | None], limit: str) -> None:
        """Without the model: to a human, if there is one; or else a sentence, after which a call ends."""
        log.warning("limit.reached", session=session.id, limit=limit)
        self.services.count("limit", reason=limit)
        turn.stopped = True
        if not await session.escalate(limit):
            tokens.put_nowait(session.connection.busy)
            if session.connection.spoken:
                await session.end({"reasonCode": limit})

    async def _keep_result(self, key: str, turn: Turn, call_id: str) -> None:
        """Store what a tool returns after its turn: the call may be with another worker then."""
        await asyncio.wait([turn.tools[call_id]])
        tool = turn.late.get(call_id, turn.tools[call_id])
        await asyncio.wait([tool])
        if not tool.cancelled() and not tool.exception():
            await self.services.store.put(key, to_json(tool.result()).decode(), LATE_RESULT_KEPT)

    async def _add_late_results(self, session: Session) -> None:
        """Put the results of tools that were still running when their turn ended into the history."""
        try:
            async with Deadline(self.services.timeouts.hook):
                for part in [part for message in session.history for part in message.parts]:
                    if not isinstance(part, ToolReturnPart) or part.content not in (TOOL_UNFINISHED, TOOL_TIMED_OUT):
                        continue
                    if result := await self.services.store.get(late_result_key(session, part.tool_call_id)):
                        part.content = from_json(result)
        except Exception as error:
            log.warning("tool.result_unknown", session=session.id, error=type(error).__name__)

    async def _answer(
        self,
        session: Session,
        turn: Turn,
        instructions: str,
        tools: Sequence[Callable[..., Any]],
        tokens: asyncio.Queue[str | None],
    ) -> bool:
        """Whether the model said something, HOLD aside. One that refuses the history at once is asked again with less.

        After two turns in a row with such a refusal, the history is what the model has accepted.
        """
        now, before = asyncio.get_running_loop().time, session.refusals
        began = now()
        for number, turn.earlier in enumerate(views(session.history, last_resort=before > 0)):
            answered, failed = False, False
            try:
                tokens_of_model = self.services.observed_tokens(
                    "model", session, self.runtime.answer(session, turn, instructions, tools)
                )
                tokens_of_model = without_markup(tokens_of_model, turn.reader)
                for each in self.services.filters:
                    tokens_of_model = each.filter_tokens(tokens_of_model)
                for limit in turn.limits:
                    tokens_of_model = limit.filter(tokens_of_model)
                async with aclosing(tokens_of_model) as stream:
                    async for token in stream:
                        if token.strip() and not answered:
                            answered = True
                            session.refusals = before + 1 if number else 0
                            if number and before:
                                session.history = turn.earlier
                        tokens.put_nowait(token)
            except Exception as error:
                log.error("model.failed", session=session.id, error=safe_error_text(error))
                failed = True
            quick = now() - began < self.deadline / 2
            turn.refused = quick and not (answered or session.ending or turn.tools or turn.responded)
            if not turn.refused:
                break
        if not answered and not session.ending:
            session.refusals = before + 1
        return answered and not failed

    async def _capability_tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        """Built once a session: their JSON schemas cost more than the rest of a turn."""
        if session.tools is None:
            found = [tool for tools in await self._hooks(Capability.tools, session) for tool in tools]
            session.tools = [tool for tool in self.without_own(found) if is_usable(tool)]
        return session.tools

    def without_own(self, tools: Sequence[Callable[..., Any]]) -> list[Callable[..., Any]]:
        """The tools of capabilities: one of agent/tools.py wins over one of the same name."""
        own = {tool.__name__ for tool in self.tools}
        return [tool for tool in tools if tool.__name__ not in own]

    async def _instructions(self, session: Session, turn: Turn) -> str:
        contexts = await self._hooks(Capability.context, session, turn.user_text)
        prompts, extra = [self.prompt], self.services.filtered([*contexts, *session.guidance])
        if turn.limits:
            prompts, extra = [each.prompt for each in turn.limits], []
        now = session.now()
        time = f"It is {now:%A, %d %B %Y, %H:%M} {now.tzinfo}."
        greeting = f"You began with: {session.greeting}" if session.greeting else None
        channel = session.connection.instructions
        texts = [*prompts, greeting, channel, *extra, time]
        return str(clean("\n\n".join(filter(None, texts))))

    async def _hooks(self, hook: Callable[..., Any], *args: Any) -> list[Any]:
        return await run_hooks(self.capabilities, hook, *args, timeout=self.services.timeouts.hook)

    def interrupted(self, session: Session, heard: str) -> None:
        """The caller interrupted: of the agent's last words only `heard` has arrived."""
        heard = clean(heard)
        if session.turn and session.turn.is_cut_by(heard):
            self.cancel_model(session)
            session.turn.heard_text = heard
        elif not session.history:
            session.greeting = heard
        elif session.turn:
            session.history = as_heard(session.history, heard)

    def cancel_model(self, session: Session) -> None:
        """Stop the model of the current turn. A tool that is running finishes."""
        if session.turn and session.turn.task:
            session.turn.stopped = True
            session.turn.task.cancel()

    def commit_turn(self, session: Session) -> None:
        """Stop the current turn, write it into the history, and drop the oldest exchanges beyond AGENT_HISTORY."""
        self.cancel_model(session)
        if session.turn:
            session.history = [*session.history, *session.turn.history()]
            session.turn = None
        session.history = fit(session.history, self.services.settings.history)


def tokens_of(usage: Sequence[Sequence[Any]]) -> int:
    return sum(row[2].get("input_tokens", 0) + row[2].get("output_tokens", 0) for row in usage)


def late_result_key(session: Session, call_id: str) -> str:
    return f"late-result:{session.id}:{call_id}"


def is_usable(tool: Callable[..., Any]) -> bool:
    """False, with a line in the log, for a tool that would make every request to the model fail."""
    if problem := tool_problem(tool):
        log.error("tool.left_out", problem=problem)
    return problem is None
