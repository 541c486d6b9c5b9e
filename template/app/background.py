"""Tasks that run in the background and are waited for at shutdown."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


class Background(set[asyncio.Task[None]]):
    """The tasks that are not done yet. The event loop keeps only weak references, so a task could be collected."""

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self.add(task)
        task.add_done_callback(self.discard)

    async def finish(self, limit: float) -> int:
        """Wait up to `limit` seconds, then cancel. Returns how many tasks were cancelled."""
        if not self:
            return 0
        _, late = await asyncio.wait(self, timeout=limit)
        for task in late:
            task.cancel()
        return len(late)
