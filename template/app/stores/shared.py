"""A store that all workers share. While it does not answer, each worker goes on with a store of its own.

No caller waits for it longer than REQUEST_TIMEOUT.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog

from app.store import InProcess, Store, now

log = structlog.get_logger()

ALONE = "process"  # instead of an address: one worker, which shares nothing
REQUEST_TIMEOUT = 1.0  # seconds for one request, connecting included
OUTAGE_PAUSE = 5.0  # seconds without a request after one that failed
LISTEN_TIMEOUT = 5.0  # seconds of one pop in the store: a connection that died unnoticed costs no more


class Down(Exception):
    """The store does not answer, or a request failed less than OUTAGE_PAUSE ago."""


class SharedStore(Store):
    """Values that are written while the store is down stay with this worker until they expire.

    The methods with an underscore send one request. They raise one of `failures`, or Down.
    """

    shared = True
    failures: tuple[type[Exception], ...] = (OSError,)
    hint = ""  # the setting that names it, for the log

    def __init__(self) -> None:
        self.own = InProcess()
        self.down = False
        self.retry_at = 0.0

    @abstractmethod
    async def _get(self, key: str) -> str | None: ...

    @abstractmethod
    async def _put(self, key: str, value: str, seconds: float) -> None: ...

    @abstractmethod
    async def _claim(self, key: str, seconds: float) -> bool: ...

    @abstractmethod
    async def _release(self, key: str) -> None: ...

    @abstractmethod
    async def _push(self, key: str, value: str, seconds: float) -> None: ...

    @abstractmethod
    async def _pop(self, key: str, wait: float) -> str | None: ...

    @abstractmethod
    async def reach(self) -> object:
        """Send a cheap request. Raises one of `failures`, or Down, when it does not answer."""

    async def _disconnect(self) -> None:
        """Close idle connections: the address may belong to another server by now."""

    def _reason(self, error: Exception) -> str:
        return type(error).__name__

    async def get(self, key: str) -> str | None:
        value: str | None = None
        with suppress(Down):
            value = await self._guarded(self._get, key)
        return await self.own.get(key) if value is None else value

    async def put(self, key: str, value: str, seconds: float) -> None:
        try:
            await self._guarded(self._put, key, value, seconds)
        except Down:
            await self.own.put(key, value, seconds)

    async def claim(self, key: str, seconds: float) -> bool:
        if not await self.own.claim(key, seconds):
            return False  # claimed by this worker, whether the store knows it or not
        try:
            if await self._guarded(self._claim, key, seconds):
                return True
        except Down:
            return True
        await self.own.release(key)  # claimed by another worker
        return False

    async def release(self, key: str) -> None:
        await self.own.release(key)
        with suppress(Down):
            await self._guarded(self._release, key)

    async def push(self, key: str, value: str, seconds: float) -> None:
        try:
            await self._guarded(self._push, key, value, seconds)
        except Down:
            await self.own.push(key, value, seconds)

    async def pop(self, key: str, wait: float) -> str | None:
        until = now() + wait
        while True:
            value = await self.own.pop(key, 0)  # pushed while the store was down
            left = max(0.0, until - now())
            if value is None:
                value = await self._listen(key, min(left, LISTEN_TIMEOUT))
            if value is not None or now() >= until:
                return value

    async def _listen(self, key: str, seconds: float) -> str | None:
        try:
            value: str | None = await self._guarded(self._pop, key, seconds, within=seconds + REQUEST_TIMEOUT)
            return value
        except Down:
            return await self.own.pop(key, seconds)

    async def _guarded(self, question: Callable[..., Awaitable[Any]], *args: Any, within: float | None = None) -> Any:
        """The response to a request. Raises Down, at once during the pause after a failure."""
        if now() < self.retry_at:
            raise Down
        try:
            if self.down:
                self.retry_at = now() + OUTAGE_PAUSE  # one request probes; the others do not wait
                async with asyncio.timeout(REQUEST_TIMEOUT):
                    await self.reach()
                self.down, self.retry_at = False, 0.0
                log.info("store.back")
            async with asyncio.timeout(within or REQUEST_TIMEOUT):
                return await question(*args)
        except self.failures as error:
            await self._failed(error)
            raise Down from None

    async def _failed(self, error: Exception) -> None:
        """Begin a pause without requests."""
        self.retry_at = now() + OUTAGE_PAUSE
        if not self.down:
            self.down = True
            log.warning("store.down", error=self._reason(error), hint=f"{self.hint}: calls go on, each on its worker")
        with suppress(*self.failures):
            await self._disconnect()


def milliseconds(seconds: float) -> int:
    return max(1, int(1000 * seconds))
