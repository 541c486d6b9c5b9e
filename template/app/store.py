"""What outlives a request: conversations that go on, tokens that were seen, messages for another worker."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod

from app.settings import Settings

SWEEP = 1000  # keys from which on the expired are looked for


class Store(ABC):
    """Keys and text values, each for so many seconds. No method raises because the store is down."""

    settings: type[Settings] = Settings
    shared = False  # whether other workers see the same

    @classmethod
    def build(cls, settings: Settings) -> Store:
        return cls()

    @abstractmethod
    async def get(self, key: str) -> str | None: ...

    @abstractmethod
    async def put(self, key: str, value: str, seconds: float) -> None: ...

    @abstractmethod
    async def claim(self, key: str, seconds: float) -> bool:
        """True for whoever asks first: a webhook that Twilio repeats, a conversation that goes on."""

    @abstractmethod
    async def release(self, key: str) -> None:
        """Give back what was claimed, before it expires."""

    @abstractmethod
    async def push(self, key: str, value: str, seconds: float) -> None:
        """Add to a queue, which is another thing than the value of that key. It is kept for `seconds` at least."""

    @abstractmethod
    async def pop(self, key: str, wait: float) -> str | None:
        """Take the oldest value of a queue, or None when none comes within `wait` seconds."""

    async def close(self) -> None:  # noqa: B027 (optional)
        """Let go of connections."""


class InProcess(Store):
    """Enough for one worker."""

    def __init__(self) -> None:
        self._values: dict[str, tuple[str, float]] = {}
        self._queues: dict[str, list[tuple[str, float]]] = {}
        self._pushed = asyncio.Condition()
        self._sweep_at = SWEEP

    async def get(self, key: str) -> str | None:
        value, until = self._values.get(key, (None, 0.0))
        return value if time.monotonic() < until else None

    async def put(self, key: str, value: str, seconds: float) -> None:
        self._values[key] = (value, time.monotonic() + seconds)
        self._sweep()

    async def claim(self, key: str, seconds: float) -> bool:
        if await self.get(key) is not None:
            return False
        await self.put(key, "", seconds)
        return True

    async def release(self, key: str) -> None:
        self._values.pop(key, None)

    async def push(self, key: str, value: str, seconds: float) -> None:
        self._queues.setdefault(key, []).append((value, time.monotonic() + seconds))
        self._sweep()
        async with self._pushed:
            self._pushed.notify_all()

    async def pop(self, key: str, wait: float) -> str | None:
        try:
            async with asyncio.timeout(wait), self._pushed:
                while (value := self._oldest(key)) is None:
                    await self._pushed.wait()
                return value
        except TimeoutError:
            return None

    def _oldest(self, key: str) -> str | None:
        queue = self._queues.get(key, [])
        while queue:
            value, until = queue.pop(0)
            if not queue:
                del self._queues[key]
            if time.monotonic() < until:
                return value
        return None

    def _sweep(self) -> None:
        """Forget what has expired, once there are many keys."""
        if len(self._values) + len(self._queues) <= self._sweep_at:
            return
        now = time.monotonic()
        self._values = {key: kept for key, kept in self._values.items() if now < kept[1]}
        self._queues = {key: queue for key, queue in self._queues.items() if now < queue[-1][1]}
        self._sweep_at = max(SWEEP, 2 * (len(self._values) + len(self._queues)))
