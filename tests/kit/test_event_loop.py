"""A deadline measures what others do, and not how late a busy event loop is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.event_loop import Deadline
from app.registry import RUNTIME
from kit.testing import Begin

pytestmark = pytest.mark.virtual_time
in_one_thread = pytest.mark.skipif(
    RUNTIME.__name__ == "BedrockAgents" or Path("app/database").exists(), reason="its threads work in real time"
)


def busy(start: float, seconds: float) -> None:
    """From `start` on, the event loop is busy for so long: its clock jumps, and it has read nothing meanwhile."""
    loop: Any = asyncio.get_running_loop()

    def work() -> None:
        loop.now += seconds

    loop.call_at(loop.time() + start, work)


async def time_out(deadline: Deadline) -> float:
    """Seconds until the deadline is over."""
    start = asyncio.get_running_loop().time()
    with pytest.raises(TimeoutError):
        async with deadline:
            await asyncio.Event().wait()
    return asyncio.get_running_loop().time() - start


@pytest.mark.parametrize("seconds", [0.0, 0.1, 1.0, 5.2])
async def test_it_is_over_after_its_time(seconds: float) -> None:
    assert await time_out(Deadline(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize("seconds", [1.0, 5.0])
async def test_the_time_of_a_busy_event_loop_does_not_count(seconds: float) -> None:
    busy(seconds / 2, 60.0)
    assert await time_out(Deadline(seconds)) == pytest.approx(60 + seconds, abs=0.25)


@pytest.mark.parametrize(("total", "at"), [(1.0, 0.6), (1.0, 0.0), (0.0, 0.0)])
async def test_it_may_be_extended(total: float, at: float) -> None:
    deadline = Deadline(total)
    if at:
        asyncio.get_running_loop().call_later(at, deadline.extend, 4.0)
    else:
        deadline.extend(4.0)
    assert await time_out(deadline) == pytest.approx(4.0)


async def test_none_is_no_limit() -> None:
    deadline = Deadline(None)
    deadline.extend(1.0)
    async with deadline:
        await asyncio.sleep(3600)


async def test_used_again_it_has_what_is_left() -> None:
    deadline = Deadline(1.0)
    for _ in range(3):
        async with deadline:
            await asyncio.sleep(0.3)
    assert await time_out(deadline) == pytest.approx(0.1)


async def test_a_cancellation_is_none_of_its_own() -> None:
    async def wait() -> None:
        async with Deadline(1.0):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@in_one_thread
@pytest.mark.parametrize("start", [0.1, 1.0, 2.4])
async def test_a_model_that_answers_in_time_is_heard_on_a_busy_machine(begin: Begin, start: float) -> None:
    talk = await begin({"says": "It is open.", "delay": 2.5}, deadline=5.0)
    busy(start, 20.0)
    assert (await talk.says("Is it open?")).text == "It is open."


@in_one_thread
async def test_a_tool_that_answers_in_time_is_heard_on_a_busy_machine(begin: Begin) -> None:
    async def look_up() -> str:
        """Look it up."""
        busy(0.5, 12.0)
        for pause in (1.0, 0.0, 0.0, 0.0):  # an answer passes several layers
            await asyncio.sleep(pause)
        return "found"

    tools: list[Callable[..., Any]] = [look_up]
    talk = await begin({"calls": {"look_up": {}}}, tools=tools, deadline=5.0, silence=0)
    assert "found" in (await talk.says("Look it up.")).text
