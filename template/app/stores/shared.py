"""A store that all workers share. While it does not answer, each worker goes on with a store of its own.

No caller waits for it longer than REQUEST_TIMEOUT.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog

from app.store import InProcess, Store, now

log = structlog.get_logger()

ALONE = "process"  # instead of an address: one worker, which shares nothing
REQUEST_TIMEOUT = 1.0  # seconds for one request, connecting included
OUTAGE_PAUSE = 5.0  # seconds without a request after one that failed
RELEASE_TTL = 3600.0  # seconds that a release waits for the store; the claims that are released are shorter
MAX_KEPT = 32_000_000  # characters that a worker keeps for an outage; the oldest go first
MAX_QUEUES = 10_000  # that a worker keeps
OVERHEAD = 300  # characters that a key counts for, beside its value
STAMP = 20  # characters before a value: the time of writing, in nanoseconds since 1970
RELEASED = "\0"  # instead of a value: a release that the store does not know yet
LISTEN_TIMEOUT = 5.0  # seconds of one pop in the store: a connection that died unnoticed costs no more
RETRY_WINDOW = LISTEN_TIMEOUT + REQUEST_TIMEOUT  # seconds in which a client may repeat a change


class Down(Exception):
    """The store does not answer, or cannot take a value of this size."""


class OwnStore(InProcess):
    def _sweep(self) -> None:
        """MAX_KEPT and MAX_QUEUES bound it instead."""


class SharedStore(Store):
    """While the store is down, a worker knows what it wrote itself, before and since, and writes that to it afterwards.

    Each value and message begins with the time of its writing. The newest value wins, wherever it was written: the
    clocks of the workers have to agree. The methods with an underscore send one request, with such values. They raise
    one of `failures`, or Down.
    """

    shared = True
    failures: tuple[type[Exception], ...] = (OSError,)
    hint = ""  # the setting that names it, for the log

    def __init__(self) -> None:
        self.own = OwnStore()  # the last values of this worker, and messages that the store does not have
        self.unsent: dict[str, None] = {}  # keys whose value the store does not have, in the order of writing
        self.down = False
        self.recovering: asyncio.Task[None] | None = None
        self.kept = 0  # characters
        self.received: deque[str] = deque(maxlen=100)
        self.last = 0

    @abstractmethod
    async def _get(self, key: str) -> str | None: ...

    @abstractmethod
    async def _put(self, key: str, value: str, seconds: float) -> None: ...

    @abstractmethod
    async def _claim(self, key: str, value: str, seconds: float) -> bool: ...

    @abstractmethod
    async def _release(self, key: str) -> None: ...

    @abstractmethod
    async def _push(self, key: str, value: str, seconds: float) -> None: ...

    @abstractmethod
    async def _pop(self, key: str, wait: float) -> str | None: ...

    @abstractmethod
    async def reach(self) -> object:
        """Send a cheap request, for `agent doctor`. Raises one of `failures`, or Down, when it does not answer."""

    async def _disconnect(self) -> None:
        """Close idle connections: the address may belong to another server by now."""

    def _reason(self, error: Exception) -> str:
        return type(error).__name__

    async def get(self, key: str) -> str | None:
        stored: str | None = None
        if key not in self.unsent:
            with suppress(Down):
                stored = await self._guarded(self._get, key)
        newest = max(await self.own.get(key) or "", stored or "")
        return newest[STAMP:] if newest and newest[STAMP:] != RELEASED else None

    async def put(self, key: str, value: str, seconds: float) -> None:
        text = self._stamped(value)
        async with self._kept(key, text, seconds):
            await self._guarded(self._put, key, text, seconds)

    async def claim(self, key: str, seconds: float) -> bool:
        own = await self.own.get(key)
        if own and own[STAMP:] != RELEASED:
            return False  # claimed by this worker, whether the store knows it or not
        text = self._stamped("")
        async with self._kept(key, text, seconds):
            if not await self._guarded(self._claim, key, text, seconds):
                self._drop(key)  # claimed by another worker
                return False
        return True

    async def release(self, key: str) -> None:
        text = self._stamped(RELEASED)
        async with self._kept(key, text, RELEASE_TTL):
            await self._guarded(self._release, key)

    async def push(self, key: str, value: str, seconds: float) -> None:
        text = self._stamped(value)
        try:
            await self._guarded(self._push, key, text, seconds)
        except Down:
            await self.own.push(key, text, seconds)
            if len(self.own.queues) > MAX_QUEUES:
                del self.own.queues[next(iter(self.own.queues))]

    async def pop(self, key: str, wait: float) -> str | None:
        until = now() + wait
        while True:
            text = await self.own.pop(key, 0)  # pushed while the store was down
            left = max(0.0, until - now())
            if text is None:
                text = await self._listen(key, min(left, LISTEN_TIMEOUT))
            if text is None and now() >= until:
                return None
            if text is not None and text not in self.received:  # a push whose answer was lost arrives twice
                self.received.append(text)
                return text[STAMP:]

    async def close(self) -> None:
        if self.recovering:
            self.recovering.cancel()

    def _stamped(self, value: str) -> str:
        self.last = max(self.last + 1, time.time_ns())
        return f"{self.last:0{STAMP}}{value}"

    @asynccontextmanager
    async def _kept(self, key: str, text: str, seconds: float) -> AsyncGenerator[None]:
        """Keep a value until the store has it, also when the caller stops waiting for that."""
        self._drop(key)
        self.own.values[key] = (text, now() + seconds)
        self.unsent[key] = None
        self.kept += len(text) + OVERHEAD
        while self.kept > MAX_KEPT:
            self._drop(next(iter(self.own.values)))
        try:
            yield
            self._sent(key, text)
        except Down:
            if not self.down:
                self.unsent.pop(key, None)  # too large for the store
        finally:
            if key in self.unsent:
                self._recover_later()

    def _sent(self, key: str, text: str) -> None:
        if self.own.values.get(key, ("", 0.0))[0] == text:  # nothing newer has been written meanwhile
            self.unsent.pop(key, None)
            if text[STAMP:] == RELEASED:
                self._drop(key)

    def _drop(self, key: str) -> None:
        self.unsent.pop(key, None)
        if key in self.own.values:
            self.kept -= len(self.own.values.pop(key)[0]) + OVERHEAD

    async def _listen(self, key: str, seconds: float) -> str | None:
        try:
            text: str | None = await self._guarded(self._pop, key, seconds, within=seconds + REQUEST_TIMEOUT)
            return text
        except Down:
            return await self.own.pop(key, seconds)

    async def _guarded(self, question: Callable[..., Awaitable[Any]], *args: Any, within: float | None = None) -> Any:
        """The response to a request. Raises Down, at once during an outage."""
        if self.down:
            raise Down
        try:
            return await self._limited(question, *args, within=within)
        except self.failures as error:
            if not self.down:
                self.down = True
                hint = f"{self.hint}: calls go on, each on its worker"
                log.warning("store.down", error=self._reason(error), hint=hint)
            self._recover_later()
            raise Down from None

    async def _limited(self, question: Callable[..., Awaitable[Any]], *args: Any, within: float | None = None) -> Any:
        async with asyncio.timeout(within or REQUEST_TIMEOUT):
            return await question(*args)

    # --- after an outage ----------------------------------------------------------------------------------------------

    def _recover_later(self) -> None:
        if self.recovering is None or self.recovering.done():
            self.recovering = asyncio.create_task(self._recover())

    async def _recover(self) -> None:
        """Probe until the store answers, and write to it what it lacks. Until then, `own` is used."""
        while self.down or self.unsent:
            with suppress(*self.failures):
                if self.down:
                    await self._disconnect()
            await asyncio.sleep(OUTAGE_PAUSE)
            with suppress(Down, *self.failures):
                await self._probe()
                for key in list(self.own.queues):
                    await self._refused(self._move_queue(key), key)
                while self.unsent:
                    key = next(iter(self.unsent))
                    if await self._refused(self._move_value(key), key):
                        self.unsent.pop(key, None)
                if self.down:
                    self.down = False
                    log.info("store.back")

    async def _probe(self) -> None:
        """A write: a store that cannot write may still be read."""
        await self._limited(self._put, "probe", self._stamped(""), OUTAGE_PAUSE)

    async def _refused(self, move: Awaitable[None], key: str) -> bool:
        """True when the store takes other keys but not this one, which stays with this worker. Raises like a probe."""
        refusals: tuple[type[Exception], ...] = (Down, *self.failures)
        try:
            await move
            return False
        except refusals as error:
            await self._probe()
            log.warning("store.refused", key=key, error=self._reason(error))
            return True

    async def _move_value(self, key: str) -> None:
        text, until = self.own.values.get(key, ("", 0.0))
        if now() < until and (await self._limited(self._get, key) or "") < text:
            if text[STAMP:] == RELEASED:
                await self._limited(self._release, key)
            else:
                await self._limited(self._put, key, text, until - now())
        self._sent(key, text)

    async def _move_queue(self, key: str) -> None:
        while queue := self.own.queues.pop(key, []):
            (text, until), *others = queue
            if others:
                self.own.queues[key] = others
            try:
                await self._limited(self._push, key, text, until - now())
            except BaseException:
                self.own.queues[key] = [(text, until), *self.own.queues.get(key, [])]
                raise


def milliseconds(seconds: float) -> int:
    return max(1, int(1000 * seconds))
