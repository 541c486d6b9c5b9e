"""What outlives a request: calls that may come back, tokens that were seen, messages for a call on another worker."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from typing import Self

from app.settings import Settings

SWEEP = 1000  # values from which on the expired are looked for


class Store(ABC):
    """Keys and text values, each for so many seconds. No method raises because the store is down."""

    settings: type[Settings] = Settings

    @classmethod
    def build(cls, settings: Settings) -> Self:
        return cls()

    @abstractmethod
    async def get(self, key: str) -> str | None: ...

    @abstractmethod
    async def put(self, key: str, value: str, seconds: float) -> None: ...

    @abstractmethod
    async def claim(self, key: str, seconds: float) -> bool:
        """True for whoever asks first: a webhook that Twilio repeats, a call that comes back."""

    @abstractmethod
    async def push(self, key: str, value: str, seconds: float) -> None:
        """Add to a queue."""

    @abstractmethod
    async def pop(self, key: str, wait: float) -> str | None:
        """Take the oldest value of a queue, or None when none comes within `wait` seconds."""

    async def close(self) -> None:  # noqa: B027 (optional)
        """Let go of connections."""


class InProcess(Store):
    """Enough for one worker."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[str, float]] = {}
        self._sweep_at = SWEEP
        self._queues: dict[str, asyncio.Queue[tuple[str, float]]] = defaultdict(asyncio.Queue)

    async def get(self, key: str) -> str | None:
        value, until = self._values.get(key, (None, 0.0))
        return value if time.monotonic() < until else None

    async def put(self, key: str, value: str, seconds: float) -> None:
        now = time.monotonic()
        self._values[key] = (value, now + seconds)
        if len(self._values) > self._sweep_at:
            self._values = {key: kept for key, kept in self._values.items() if now < kept[1]}
            self._sweep_at = max(SWEEP, 2 * len(self._values))

    async def claim(self, key: str, seconds: float) -> bool:
        if await self.get(key) is not None:
            return False
        await self.put(key, "", seconds)
        return True

    async def push(self, key: str, value: str, seconds: float) -> None:
        self._queues[key].put_nowait((value, time.monotonic() + seconds))

    async def pop(self, key: str, wait: float) -> str | None:
        try:
            async with asyncio.timeout(wait):
                while True:
                    value, until = await self._queues[key].get()
                    if time.monotonic() < until:
                        return value
        except TimeoutError:
            return None
        finally:
            if self._queues[key].empty():
                del self._queues[key]
