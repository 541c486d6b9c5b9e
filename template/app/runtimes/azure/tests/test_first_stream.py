"""The choice among several models: the first stream that begins in time, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any

from app.runtimes.streams import AnswerFailed, first_stream_to_begin
from app.turn import Turn
from kit.virtual_time import VirtualTimeLoop

Script = list[str | float | Exception]  # items, pauses in seconds, and a failure


def first_to_begin(*scripts: Script, **options: Any) -> list[str]:
    """The items of the first stream to begin within 5 seconds; a "notice" does not begin it."""

    async def play(script: Script) -> AsyncGenerator[str]:
        for step in script:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                await asyncio.sleep(step)
            else:
                yield step

    async def listen() -> list[str]:
        streams = [(f"model-{number}", partial(play, script)) for number, script in enumerate(scripts, 1)]
        items = []
        try:
            async for item in first_stream_to_begin(Turn(""), streams, 5.0, lambda item: item != "notice", **options):
                items.append(item)
        except AnswerFailed as error:
            items.append(f"failed: {error}")
        return items

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(listen())


SLOW: Script = ["notice", 6.0, "slow"]


def test_the_first_stream_to_begin_in_time_answers() -> None:
    assert first_to_begin(["notice", 4.0, "One ", 60.0, "two."], ["other"]) == ["notice", "One ", "two."]
    assert first_to_begin(SLOW, ["notice", ValueError("secret")], ["notice"], ["Yes."]) == ["Yes."]


def test_a_stream_that_has_begun_is_not_replaced() -> None:
    assert first_to_begin(["One ", ValueError("secret")], ["other"]) == ["One ", "failed: ValueError"]


def test_a_stream_that_fails_before_its_first_word_is_replaced_though_it_has_begun() -> None:
    def is_final(item: str) -> bool:
        return item != "call"

    begun: Script = ["notice", 4.0, "call", 6.0]
    assert first_to_begin([*begun, ValueError()], ["Yes."], is_final=is_final) == ["Yes."]
    assert first_to_begin([*begun, 20.0, "late"], ["Yes."], is_final=is_final) == ["Yes."]
    assert first_to_begin([*begun, "call"], ["other"], is_final=is_final) == ["notice", "call", "call"]
    assert first_to_begin([*begun, "One "], ["other"], is_final=is_final) == ["notice", "call", "One "]


def test_when_no_stream_begins_the_failure_names_each_reason(logged: Callable[[], str]) -> None:
    assert first_to_begin(SLOW, [ValueError("secret")], []) == [
        "failed: TimeoutError, ValueError, the stream ended before it began"
    ]
    assert logged().count("model.failed") == 3 and "model-3" in logged() and "secret" not in logged()


def test_the_last_stream_may_have_no_deadline() -> None:
    assert first_to_begin(SLOW, SLOW, last_may_wait=True) == ["notice", "slow"]
