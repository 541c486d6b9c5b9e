"""Sessions in Redis or Valkey, so that another worker can continue a conversation."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app.settings import Settings
from app.store import InProcess, Store
from app.stores.shared import ALONE, REQUEST_TIMEOUT, SharedStore, milliseconds

# A pop that waits occupies its connection, and every conversation in progress may have one. The default of redis-py is
# 100; the real limit is the server's `maxclients`, 10000 by default, for all workers together.
CONNECTIONS = 10_000


def client(url: str) -> Redis:
    """A client that connects when it is first used. Raises ValueError or TypeError for a URL that cannot work.

    It repeats no request: a push or a claim that is sent twice would count twice. Idle connections that the
    server has closed are replaced before anything is sent. There is no socket timeout, which a BLPOP would run into.
    """
    redis = Redis.from_url(
        url,
        decode_responses=True,
        max_connections=CONNECTIONS,
        socket_timeout=None,
        socket_connect_timeout=REQUEST_TIMEOUT,
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
        "agent:", alias="AGENT_STORE_PREFIX", description="Write the prefix of the keys of this project."
    )


class RedisStore(SharedStore):
    settings = RedisSettings
    failures = (RedisError, OSError)
    hint = "REDIS_URL"

    def __init__(self, url: str, prefix: str) -> None:
        super().__init__()
        self.redis: Any = client(url)  # with `decode_responses`, which its types do not know
        self.prefix = prefix

    @classmethod
    def build(cls, settings: Any) -> Store:
        url = settings.redis_url.get_secret_value()
        return InProcess() if url == ALONE else cls(url, settings.store_prefix)

    async def _get(self, key: str) -> str | None:
        value: str | None = await self.redis.get(self._value(key))
        return value

    async def _put(self, key: str, value: str, seconds: float) -> None:
        await self.redis.set(self._value(key), value, px=milliseconds(seconds))

    async def _claim(self, key: str, value: str, seconds: float) -> bool:
        return bool(await self.redis.set(self._value(key), value, px=milliseconds(seconds), nx=True))

    async def _release(self, key: str) -> None:
        await self.redis.delete(self._value(key))

    async def _push(self, key: str, value: str, seconds: float) -> None:
        add = self.redis.pipeline(transaction=True)
        add.rpush(self._queue(key), value)
        add.pexpire(self._queue(key), milliseconds(seconds))
        await add.execute()

    async def _pop(self, key: str, wait: float) -> str | None:
        found = await self.redis.blpop([self._queue(key)], max(wait, 0.01))  # 0 would wait without a timeout
        value: str | None = found[1] if found else None  # beside the name of the queue
        return value

    async def reach(self) -> object:
        return await self.redis.ping()

    async def _disconnect(self) -> None:
        await self.redis.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        await super().close()
        with suppress(RedisError, OSError):
            await self.redis.aclose()

    def _value(self, key: str) -> str:
        return f"{self.prefix}value:{key}"

    def _queue(self, key: str) -> str:
        return f"{self.prefix}queue:{key}"
