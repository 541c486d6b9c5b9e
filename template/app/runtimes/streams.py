"""What runtimes share that have a tool loop of another framework or service: records, fallback, time limits."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import structlog
from pydantic_ai import messages as m

from app.runtimes import ModelFailed, safe_error_text, start_round
from app.turn import Turn

log = structlog.get_logger()

Item = TypeVar("Item")


def start_record(turn: Turn, instructions: str) -> list[m.ModelMessage]:
    """The record of a turn with its request; the runtime appends the other messages."""
    record: list[m.ModelMessage] = [
        m.ModelRequest([m.UserPromptPart(turn.user_text)], instructions=instructions, run_id=turn.run_id)
    ]
    turn.record = record
    return record


def as_text(result: Any) -> str:
    """A tool's result, which is JSON data, as text for a model."""
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)


class AnswerFailed(Exception):
    """No model began to answer in time, or the one that began broke off."""


async def first_stream_to_begin(
    turn: Turn,
    streams: Sequence[tuple[str, Callable[[], AsyncGenerator[Item]]]],
    deadline: float,
    has_begun: Callable[[Item], bool],
    *,
    explain: Callable[[BaseException], str] = safe_error_text,
    last_may_wait: bool = False,
) -> AsyncGenerator[Item]:
    """One round of a turn: yield the items of the first stream that begins within `deadline` seconds.

    `streams` are names of models, each with a function that opens its stream, in order of preference. A stream has
    begun with the first item for which `has_begun` is true: a token or a tool call. Earlier items are held back until
    then. A stream that fails later is not replaced, since the caller has heard a part of it. `explain` describes an
    error and quotes nothing; with `last_may_wait` the last stream has no deadline. Raises AnswerFailed.
    """
    start_round(turn)
    failures = []
    for number, (model, open_stream) in enumerate(streams, 1):
        held: list[Item] = []
        begun = False
        try:
            async with aclosing(open_stream()) as stream:
                async with asyncio.timeout(None if last_may_wait and number == len(streams) else deadline):
                    async for item in stream:
                        held.append(item)
                        if begun := has_begun(item):
                            break
                if not begun:
                    raise ModelFailed("the stream ended before it began")
                for item in held:
                    yield item
                async for item in stream:
                    yield item
                return
        except Exception as error:
            log.warning("model.failed", model=model, error=explain(error))
            failures.append(explain(error))
            if begun:
                break
    raise AnswerFailed(", ".join(failures))
