"""Work that goes on while nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background(set[asyncio.Task[None]]):
    """The tasks that are not done yet. asyncio alone would let one be collected half done."""

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.add(task)
        task.add_done_callback(self.discard)

    async def finish(self, within: float) -> int:
        """Wait, `within` seconds at most. Returns how many tasks were cut off."""
        if not self:
            return 0
        _, late = await asyncio.wait(self, timeout=within)
        for task in late:
            task.cancel()
        return len(late)
