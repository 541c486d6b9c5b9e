"""A store that all workers share. When it does not answer, a worker goes on with what it keeps itself.

No caller waits for it longer than `ANSWER`.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import structlog

from app.store import InProcess, Store

log = structlog.get_logger()

ALONE = "process"  # instead of an address: one worker, which shares nothing
ANSWER = 1.0  # seconds that the store may take for anything, connecting included
PAUSE = 5.0  # seconds after a failure in which it is not asked again
LISTEN = 5.0  # seconds that one pop waits there: a connection that died unnoticed costs no more


class Down(Exception):
    """The store does not answer, or has failed so recently that it is not asked."""


class SharedStore(Store):
    """What is written while the store is down stays with this worker, which finds it again until it expires.

    The methods with an underscore ask the store itself. They raise one of `failures`, or Down.
    """

    shared = True
    failures: tuple[type[Exception], ...] = (OSError,)
    hint = ""  # what to look at when it is down

    def __init__(self) -> None:
        self.own = InProcess()
        self.down = False
        self.ask_again = 0.0

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
        """Ask it for something cheap. Raises one of `failures`, or Down, when it does not answer."""

    async def _let_go(self) -> None:
        """Reach it anew next time: its address may belong to another server by then."""

    def _reason(self, error: Exception) -> str:
        return type(error).__name__

    async def get(self, key: str) -> str | None:
        value: str | None = None
        with suppress(Down):
            value = await self._ask(self._get, key)
        return await self.own.get(key) if value is None else value

    async def put(self, key: str, value: str, seconds: float) -> None:
        try:
            await self._ask(self._put, key, value, seconds)
        except Down:
            await self.own.put(key, value, seconds)

    async def claim(self, key: str, seconds: float) -> bool:
        if not await self.own.claim(key, seconds):
            return False  # by this worker, whether the store knows or not
        try:
            if await self._ask(self._claim, key, seconds):
                return True
        except Down:
            return True
        await self.own.release(key)  # it is another worker's
        return False

    async def release(self, key: str) -> None:
        await self.own.release(key)
        with suppress(Down):
            await self._ask(self._release, key)

    async def push(self, key: str, value: str, seconds: float) -> None:
        try:
            await self._ask(self._push, key, value, seconds)
        except Down:
            await self.own.push(key, value, seconds)

    async def pop(self, key: str, wait: float) -> str | None:
        until = time.monotonic() + wait
        while True:
            value = await self.own.pop(key, 0)  # what was pushed while the store was down
            left = max(0.0, until - time.monotonic())
            if value is None:
                value = await self._listen(key, min(left, LISTEN))
            if value is not None or time.monotonic() >= until:
                return value

    async def _listen(self, key: str, seconds: float) -> str | None:
        try:
            value: str | None = await self._ask(self._pop, key, seconds, within=seconds + ANSWER)
            return value
        except Down:
            return await self.own.pop(key, seconds)

    async def _ask(self, question: Callable[..., Awaitable[Any]], *args: Any, within: float | None = None) -> Any:
        """The answer of the store, or Down: at once while it is known to be down."""
        if time.monotonic() < self.ask_again:
            raise Down
        try:
            if self.down:
                self.ask_again = time.monotonic() + PAUSE  # one finds out whether it is back; the others do not wait
                async with asyncio.timeout(ANSWER):
                    await self.reach()
                self.down, self.ask_again = False, 0.0
                log.info("store.back")
            async with asyncio.timeout(within or ANSWER):
                return await question(*args)
        except self.failures as error:
            await self._failed(error)
            raise Down from None

    async def _failed(self, error: Exception) -> None:
        """Leave the store alone for a while."""
        self.ask_again = time.monotonic() + PAUSE
        if not self.down:
            self.down = True
            log.warning("store.down", error=self._reason(error), hint=f"{self.hint}: calls go on, each on its worker")
        with suppress(*self.failures):
            await self._let_go()


def milliseconds(seconds: float) -> int:
    return max(1, int(1000 * seconds))
