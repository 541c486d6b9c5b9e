"""The clock of the simulated account."""

from __future__ import annotations

import asyncio
import time


class Clock:
    """Seconds since the account began, `pace` times as fast as the real ones. Tests stop it and advance it."""

    def __init__(self, pace: float) -> None:
        self.pace = pace
        self._base, self._since = 0.0, time.monotonic()

    def now(self) -> float:
        return self._base + (time.monotonic() - self._since) * self.pace

    def stop(self) -> None:
        """From now on only `advance` moves the clock, and `sleep` returns at once."""
        self._base, self.pace = self.now(), 0.0

    def advance(self, seconds: float) -> None:
        self._base += seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.pace if self.pace else 0)
