"""One event loop serves all calls: deadlines that do not count its lag, whether it keeps up, and tasks that exit."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger()

SLICE = 0.25  # seconds; of a longer time at a stretch the event loop was busy, and could not have seen an answer
RECENT = 4
MAX_LAG = 0.5  # seconds, at each of the last looks


class Load:
    """How late the event loop was at the last RECENT looks, in seconds."""

    def __init__(self) -> None:
        self.lags = deque([0.0] * RECENT, RECENT)

    @property
    def is_too_high(self) -> bool:
        """Whether this worker cannot keep up: new calls go elsewhere, so that those in progress are answered."""
        return min(self.lags) > MAX_LAG

    def add(self, lag: float) -> None:
        before = self.is_too_high
        self.lags.append(lag)
        if self.is_too_high and not before:
            log.warning("server.overloaded", seconds=round(lag, 2))
        elif before and not self.is_too_high:
            log.info("server.recovered")


class Deadline:
    """`async with Deadline(seconds)` raises TimeoutError like `asyncio.timeout`. None is no limit.

    On a busy machine answers wait until the event loop reads them: there `asyncio.timeout` gives up models that have
    answered. Used again, it has what is left of its time.
    """

    def __init__(self, seconds: float | None) -> None:
        self.total = seconds or 0.0
        self.left = seconds
        self.timer: asyncio.TimerHandle | None = None

    def extend(self, total: float) -> None:
        """Allow `total` seconds in all, from the beginning."""
        if self.left is not None:
            self.left += total - self.total
            self.total = total

    async def __aenter__(self) -> Deadline:
        self.timeout = asyncio.timeout(None)
        await self.timeout.__aenter__()
        self._wait()
        return self

    async def __aexit__(self, *error: Any) -> None:
        if self.timer:
            self.timer.cancel()
            if self.left is not None:
                self.left += max(0.0, self.timer.when() - asyncio.get_running_loop().time())
        await self.timeout.__aexit__(*error)

    def _wait(self) -> None:
        if self.left is None:
            return
        loop = asyncio.get_running_loop()
        if self.left > 0:
            part = min(self.left, SLICE)
            self.left -= part
            self.timer = loop.call_at(loop.time() + part, self._wait)
        else:
            self.timeout.reschedule(loop.time())


async def contained(work: Coroutine[Any, Any, Any]) -> Any:
    """The work of a task. Its SystemExit or KeyboardInterrupt fails this task; asyncio would end the event loop."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"{type(error).__name__} in a task") from error


def contained_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """A task factory. What runs for one call may not end the server."""
    task = asyncio.Task(contained(work), loop=loop, **options)
    task.add_done_callback(lambda _: work.close())  # one that is cancelled before it starts has not awaited its work
    return task
