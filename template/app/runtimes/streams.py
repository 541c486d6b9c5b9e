"""What runtimes share that have a tool loop of another framework or service: records, fallback, time limits."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

import structlog

from app.event_loop import Deadline
from app.runtimes import ModelFailed, safe_error_text, start_round
from app.turn import Turn

log = structlog.get_logger()

Item = TypeVar("Item")


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
    is_final: Callable[[Item], bool] | None = None,
    explain: Callable[[BaseException], str] = safe_error_text,
    last_may_wait: bool = False,
) -> AsyncGenerator[Item]:
    """One round of a turn: yield the items of the first stream that begins within `deadline` seconds.

    `streams` are names of models, each with a function that opens its stream, in order of preference. A stream has
    begun with the first item for which `has_begun` is true: a token or a tool call. One that fails before an item for
    which `is_final` is true, a word, is replaced by the next one: until then, or until its end, the items are held back
    (for four times the deadline). Without `is_final` an item that begins a stream is final, since the model may have
    acted. Later the caller has heard a part of it. `explain` describes an error and quotes nothing; with
    `last_may_wait` the last stream has no deadline. Raises AnswerFailed.
    """
    start_round(turn)
    failures = []
    for number, (model, open_stream) in enumerate(streams, 1):
        held: list[Item] = []
        begun = final = False
        try:
            async with aclosing(open_stream()) as stream:
                waits = last_may_wait and number == len(streams)
                async with Deadline(None if waits else deadline) as silence:
                    async for item in stream:
                        held.append(item)
                        if not begun and (begun := has_begun(item)):
                            silence.extend(4 * deadline)
                        if begun and (is_final is None or is_final(item)):
                            break
                if not begun and not turn.spoken_text.strip():  # after words and a tool, silence may be meant
                    raise ModelFailed("the stream ended before it began")
                final = True
                for item in held:
                    yield item
                async for item in stream:
                    yield item
                return
        except Exception as error:
            log.warning("model.failed", model=model, error=explain(error))
            failures.append(explain(error))
            if final:
                break
    raise AnswerFailed(", ".join(failures))
