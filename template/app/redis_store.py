"""Conversations in progress live in Redis or Valkey: one that stops here can go on on another worker.

When Redis does not answer, a worker goes on with what it keeps itself. Nobody waits for Redis longer than `ANSWER`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Annotated, Any

import structlog
from pydantic import AfterValidator, Field, SecretStr
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.settings import Settings
from app.store import InProcess, Store

log = structlog.get_logger()

ALONE = "process"  # instead of a URL: one worker, which needs no Redis
ANSWER = 1.0  # seconds that Redis may take for anything, connecting included
PAUSE = 5.0  # seconds after a failure in which Redis is not asked again
LISTEN = 5.0  # seconds that one BLPOP waits: a connection that died unnoticed costs no more

# A pop that waits occupies its connection, and every live conversation may have one. redis-py stops at 100 unless told;
# the real limit is the server's `maxclients`, 10000 by default, for all workers together.
CONNECTIONS = 10_000


def client(url: str) -> Redis:
    """A client that connects when it is first used. Raises ValueError or TypeError for a URL that cannot work.

    It never tries again by itself: a push or a claim that is sent twice would count twice. Idle connections that the
    server has closed are replaced before anything is sent. There is no socket timeout, which a BLPOP would run into.
    """
    redis = Redis.from_url(
        url,
        decode_responses=True,
        max_connections=CONNECTIONS,
        socket_timeout=None,
        socket_connect_timeout=ANSWER,
        retry=Retry(NoBackoff(), 0),
    )
    pool: Any = redis.connection_pool
    pool.make_connection()  # reads the options of the URL, without connecting
    return redis


def usable(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    if text != ALONE:
        if not text.startswith(("redis://", "rediss://")):
            raise ValueError("not a URL of Redis")
        try:
            client(text)
        except TypeError:
            raise ValueError("an option that Redis does not have") from None
    return url


class RedisSettings(Settings):
    redis_url: Annotated[SecretStr, AfterValidator(usable)] = Field(
        alias="REDIS_URL",
        examples=[ALONE],
        description="Write redis://host:6379/0 (rediss:// with TLS), or process for one worker without Redis.",
    )
    store_prefix: str = Field(
        "agent:", alias="AGENT_STORE_PREFIX", description="Write what the keys of this project begin with."
    )


class Down(Exception):
    """Redis does not answer, or has failed so recently that it is not asked."""


class RedisStore(Store):
    """What is written while Redis is down stays with this worker, which finds it again until it expires."""

    settings = RedisSettings
    shared = True

    def __init__(self, url: str, prefix: str) -> None:
        self.redis = client(url)
        self.prefix = prefix
        self.own = InProcess()
        self.down = False
        self.ask_again = 0.0

    @classmethod
    def build(cls, settings: Any) -> Store:
        url = settings.redis_url.get_secret_value()
        return InProcess() if url == ALONE else cls(url, settings.store_prefix)

    async def get(self, key: str) -> str | None:
        value: str | None = None
        with suppress(Down):
            value = await self._ask(self.redis.get, self._value(key))
        return await self.own.get(key) if value is None else value

    async def put(self, key: str, value: str, seconds: float) -> None:
        try:
            await self._ask(self.redis.set, self._value(key), value, px=milliseconds(seconds))
        except Down:
            await self.own.put(key, value, seconds)

    async def claim(self, key: str, seconds: float) -> bool:
        if not await self.own.claim(key, seconds):
            return False  # by this worker, whether Redis knows or not
        try:
            if await self._ask(self.redis.set, self._value(key), "", px=milliseconds(seconds), nx=True):
                return True
        except Down:
            return True
        await self.own.release(key)  # it is another worker's
        return False

    async def release(self, key: str) -> None:
        await self.own.release(key)
        with suppress(Down):
            await self._ask(self.redis.delete, self._value(key))

    async def push(self, key: str, value: str, seconds: float) -> None:
        add = self.redis.pipeline(transaction=True)
        add.rpush(self._queue(key), value)
        add.pexpire(self._queue(key), milliseconds(seconds))
        try:
            await self._ask(add.execute)
        except Down:
            await self.own.push(key, value, seconds)

    async def pop(self, key: str, wait: float) -> str | None:
        until = time.monotonic() + wait
        while True:
            value = await self.own.pop(key, 0)  # what was pushed while Redis was down
            left = max(0.0, until - time.monotonic())
            if value is None:
                value = await self._listen(key, min(left, LISTEN))
            if value is not None or time.monotonic() >= until:
                return value

    async def _listen(self, key: str, seconds: float) -> str | None:
        blocking = max(seconds, 0.01)  # BLPOP takes 0 for ever
        try:
            found = await self._ask(self.redis.blpop, [self._queue(key)], blocking, within=blocking + ANSWER)
        except Down:
            return await self.own.pop(key, seconds)
        value: str | None = found[1] if found else None  # beside the name of the queue
        return value

    async def close(self) -> None:
        with suppress(RedisError, OSError):
            await self.redis.aclose()

    def _value(self, key: str) -> str:
        return f"{self.prefix}value:{key}"

    def _queue(self, key: str) -> str:
        return f"{self.prefix}queue:{key}"

    async def _ask(
        self, command: Callable[..., Awaitable[Any]], *args: Any, within: float | None = None, **options: Any
    ) -> Any:
        """The answer to a command, or Down: at once while Redis is known to be down."""
        if time.monotonic() < self.ask_again:
            raise Down
        try:
            if self.down:
                self.ask_again = time.monotonic() + PAUSE  # one finds out whether it is back; the others do not wait
                async with asyncio.timeout(ANSWER):
                    await self.redis.ping()
                self.down, self.ask_again = False, 0.0
                log.info("store.back")
            async with asyncio.timeout(within or ANSWER):
                return await command(*args, **options)
        except (RedisError, OSError) as error:
            await self._failed(error)
            raise Down from None

    async def _failed(self, error: Exception) -> None:
        """Leave Redis alone for a while, and then reach it anew: its address may belong to another server by then."""
        self.ask_again = time.monotonic() + PAUSE
        if not self.down:
            self.down = True
            log.warning(
                "store.down", error=type(error).__name__, hint="REDIS_URL: conversations go on, each on its worker"
            )
        with suppress(RedisError, OSError):
            await self.redis.connection_pool.disconnect(inuse_connections=False)


def milliseconds(seconds: float) -> int:
    return max(1, int(1000 * seconds))
