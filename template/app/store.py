"""The store: values, claimed keys and queues that outlive a request, each with an expiry in seconds."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

from app.settings import Settings

SWEEP_THRESHOLD = 1000  # keys; with more, the expired ones are removed


class Store(ABC):
    """Text values and queues by key, each kept for some seconds. An unavailable store gives defaults, not errors."""

    settings: type[Settings] = Settings
    shared = False  # True: other workers see the same keys
    down = False  # True: they do not see what is written now

    @classmethod
    def build(cls, settings: Settings) -> Store:
        return cls()

    @abstractmethod
    async def get(self, key: str) -> str | None: ...

    @abstractmethod
    async def put(self, key: str, value: str, seconds: float) -> None: ...

    @abstractmethod
    async def claim(self, key: str, seconds: float) -> bool:
        """True for the first claim of a key in `seconds`, on any worker: Twilio repeats webhooks."""

    @abstractmethod
    async def release(self, key: str) -> None:
        """End a claim before it expires."""

    @abstractmethod
    async def push(self, key: str, value: str, seconds: float) -> None:
        """Add to the queue of that key, kept for at least `seconds`. Queues and values have separate namespaces."""

    @abstractmethod
    async def pop(self, key: str, wait: float) -> str | None:
        """Remove and return the oldest value of a queue, or None when none comes within `wait` seconds."""

    async def close(self) -> None:  # noqa: B027 (optional)
        """Close connections."""


class InProcess(Store):
    """The store of one worker, in its memory. It expires by the clock of the event loop, which tests control."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[str, float]] = {}
        self.queues: dict[str, list[tuple[str, float]]] = {}
        self._pushed = asyncio.Condition()
        self._sweep_at = SWEEP_THRESHOLD

    async def get(self, key: str) -> str | None:
        value, until = self.values.get(key, (None, 0.0))
        return value if now() < until else None

    async def put(self, key: str, value: str, seconds: float) -> None:
        self.values[key] = (value, now() + seconds)
        self._sweep()

    async def claim(self, key: str, seconds: float) -> bool:
        if await self.get(key) is not None:
            return False
        await self.put(key, "", seconds)
        return True

    async def release(self, key: str) -> None:
        self.values.pop(key, None)

    async def push(self, key: str, value: str, seconds: float) -> None:
        self.queues.setdefault(key, []).append((value, now() + seconds))
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
        queue = self.queues.get(key, [])
        while queue:
            value, until = queue.pop(0)
            if not queue:
                del self.queues[key]
            if now() < until:
                return value
        return None

    def _sweep(self) -> None:
        """Remove expired keys, once there are many."""
        if len(self.values) + len(self.queues) <= self._sweep_at:
            return
        self.values = {key: kept for key, kept in self.values.items() if now() < kept[1]}
        self.queues = {key: queue for key, queue in self.queues.items() if now() < queue[-1][1]}
        self._sweep_at = max(SWEEP_THRESHOLD, 2 * (len(self.values) + len(self.queues)))


def now() -> float:
    return asyncio.get_running_loop().time()
