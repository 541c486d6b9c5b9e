"""A time limit for what others do: a model, a tool, a service. What this process itself is late by does not count."""

from __future__ import annotations

import asyncio

SLICE = 0.25  # seconds; of a longer time at a stretch the event loop was busy, and could not have seen an answer


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

    async def __aexit__(self, *error: object) -> bool | None:
        if self.timer:
            self.timer.cancel()
            if self.left is not None:
                self.left += max(0.0, self.timer.when() - asyncio.get_running_loop().time())
        return await self.timeout.__aexit__(*error)  # type: ignore[arg-type]

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
