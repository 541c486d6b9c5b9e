"""The clock of tests that jumps to the next timer waits for threads, which no timer announces."""

from __future__ import annotations

import asyncio
import threading

import pytest

from kit.virtual_time import VirtualTimeLoop


def test_a_thread_that_still_works_at_the_end_is_waited_for() -> None:
    released = threading.Event()

    async def leaves_it_behind() -> None:
        work = asyncio.create_task(asyncio.to_thread(released.wait, 5))
        await asyncio.sleep(0)
        threading.Timer(0.05, released.set).start()
        assert not work.done()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(leaves_it_behind())
    assert released.is_set()


def test_a_task_that_waits_for_ever_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="for ever"), asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(asyncio.Event().wait())
