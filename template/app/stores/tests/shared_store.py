"""Tests of every store that workers share: its values, and an outage of its server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Protocol

import pytest

from app.registry import STORE
from app.store import Store
from app.stores.shared import LISTEN_TIMEOUT, OUTAGE_PAUSE, SharedStore
from kit.plugin import Begin

PASSWORD = "an-invented-password"
REQUEST_TIMEOUT = 15.0  # seconds; no request that is answered takes as long, and only `advance_clock` makes it pass


class Breakable(Protocol):
    """The server of a store. It can fail and come back at the same address."""

    def start(self) -> None: ...
    def terminate(self) -> None: ...
    def hang(self) -> None: ...
    def refuse(self) -> None: ...


async def check_pauses(store: Any, monkeypatch: pytest.MonkeyPatch, first: float, longest: float) -> None:
    """A pop of an empty queue, in virtual time: its polls are less and less frequent, until it ends in time."""
    polls: list[float] = []

    async def oldest(key: str) -> None:
        polls.append(asyncio.get_running_loop().time())

    monkeypatch.setattr(store, "_oldest", oldest)
    assert await store.pop("queue", LISTEN_TIMEOUT) is None
    pauses = [after - before for before, after in pairwise(polls)]
    assert pauses[:9] == pytest.approx([min(1.5**number * first, longest) for number in range(9)])
    assert polls[-1] == pytest.approx(LISTEN_TIMEOUT)


class TwoStores:
    """The store of a worker, and `elsewhere` that of another one."""

    @pytest.fixture
    def store(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def elsewhere(self, store: Store) -> Any:
        return store


class EveryStore(TwoStores):
    """The tests that every store has to pass."""

    async def test_a_value_is_kept_until_it_expires(self, store: Store, elsewhere: Store) -> None:
        await store.put("a", "1", 60)
        await store.put("b", "2", 0.05)
        assert (await elsewhere.get("a"), await store.get("c")) == ("1", None)
        await asyncio.sleep(0.1)
        assert (await elsewhere.get("a"), await store.get("b")) == ("1", None)

    async def test_put_overwrites_a_value(self, store: Store, elsewhere: Store) -> None:
        await store.put("a", "1", 60)
        await elsewhere.put("a", "2", 60)
        assert await store.get("a") == "2"

    async def test_a_token_is_claimed_once(self, store: Store, elsewhere: Store) -> None:
        claims = await asyncio.gather(*(each.claim("token", 60) for each in (store, elsewhere) * 5))
        assert sorted(claims) == [False] * 9 + [True]
        assert await elsewhere.claim("another", 60)

    async def test_an_expired_token_can_be_claimed_again(self, store: Store, elsewhere: Store) -> None:
        assert await store.claim("token", 0.05)
        await asyncio.sleep(0.1)
        assert await elsewhere.claim("token", 60)

    async def test_a_released_token_can_be_claimed_again(self, store: Store, elsewhere: Store) -> None:
        assert await store.claim("token", 60) and not await elsewhere.claim("token", 60)
        await store.release("token")
        assert await elsewhere.claim("token", 60) and not await store.claim("token", 60)

    async def test_a_queue_keeps_the_order(self, store: Store, elsewhere: Store) -> None:
        for value in ("1", "2", "3"):
            await elsewhere.push("queue", value, 60)
        assert [await store.pop("queue", 1) for _ in range(3)] == ["1", "2", "3"]

    async def test_a_push_wakes_the_pop_that_waits(self, store: Store, elsewhere: Store) -> None:
        another = asyncio.create_task(store.pop("another", 60))
        waiting = asyncio.create_task(store.pop("queue", 60))
        await asyncio.sleep(0.01)
        await elsewhere.push("queue", "1", 60)
        assert await asyncio.wait_for(waiting, 60) == "1"
        another.cancel()

    async def test_two_waiting_pops_get_one_value_each(self, store: Store, elsewhere: Store) -> None:
        waiting = [asyncio.create_task(each.pop("queue", 60)) for each in (store, elsewhere)]
        await asyncio.sleep(0.01)
        for value in ("1", "2"):
            await store.push("queue", value, 60)
        assert sorted(await asyncio.gather(*waiting)) == ["1", "2"]

    async def test_a_pop_of_an_empty_queue_returns_none(self, store: Store) -> None:
        assert await store.pop("queue", 0.05) is None
        await store.push("queue", "1", 60)
        assert await store.pop("another", 0.05) is None

    async def test_a_pop_without_wait_returns_only_a_value_that_is_queued(self, store: Store) -> None:
        await store.push("queue", "1", 60)
        async with asyncio.timeout(30):
            assert [await store.pop("queue", 0), await store.pop("queue", 0)] == ["1", None]

    async def test_a_queue_expires(self, store: Store) -> None:
        await store.push("queue", "1", 0.05)
        await asyncio.sleep(0.1)
        assert await store.pop("queue", 0) is None

    async def test_a_queue_and_a_value_can_share_a_key(self, store: Store) -> None:
        await store.put("same", "value", 60)
        await store.push("same", "queued", 60)
        assert (await store.get("same"), await store.pop("same", 0)) == ("value", "queued")


class PatientStores:
    """Stores that wait REQUEST_TIMEOUT for a request, so that a busy machine is not taken for an outage."""

    @pytest.fixture(autouse=True)
    def long_timeouts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("app.stores.shared", STORE.__module__):
            monkeypatch.setattr(f"{module}.REQUEST_TIMEOUT", REQUEST_TIMEOUT)
        monkeypatch.setattr(f"{STORE.__module__}.CONNECT_TIMEOUT", 2 * REQUEST_TIMEOUT, raising=False)


class EverySharedStore(PatientStores, EveryStore):
    """The tests that every shared store has to pass."""

    @pytest.fixture
    def server(self) -> Any:
        """A server that runs. A test may stop it."""
        raise NotImplementedError

    @pytest.fixture
    def broken(self) -> Any:
        """A server that does not run yet."""
        raise NotImplementedError

    @pytest.fixture
    def connect(self) -> Any:
        """Returns the store of one worker on a server. The keys belong to the test."""
        raise NotImplementedError

    # --- when it does not answer --------------------------------------------------------------------------

    @pytest.fixture(params=["terminate", "hang", "refuse"])
    def outage(self, request: pytest.FixtureRequest, server: Breakable) -> Any:
        """Ways in which the server fails while the store is in use."""
        return getattr(server, request.param)

    async def test_no_method_raises_during_an_outage(
        self,
        server: Breakable,
        connect: Callable[..., SharedStore],
        outage: Callable[[], None],
        logged: Callable[[], str],
        advance_clock: Callable[[float], None],
    ) -> None:
        store, elsewhere = connect(server), connect(server)
        await store.put("own", "1", 60)
        await elsewhere.put("before", "1", 60)
        outage()
        putting = asyncio.create_task(store.put("a", "1", 60))
        await asyncio.sleep(0)
        if outage == server.hang:
            advance_clock(REQUEST_TIMEOUT)
        await putting
        assert await store.get("a") == "1"
        assert (await store.claim("token", 60), await store.claim("token", 60)) == (True, False)
        await store.push("queue", "1", 60)
        assert (await store.pop("queue", 1), await store.pop("queue", 0)) == ("1", None)
        assert (await store.get("own"), await store.get("before")) == ("1", None)
        assert logged().count("store.down") == 1
        assert PASSWORD not in logged() and "127.0.0.1" not in logged()

    async def test_an_outage_is_logged_once_and_without_its_address(
        self, broken: Breakable, connect: Callable[..., SharedStore], monkeypatch: Any, logged: Callable[[], str]
    ) -> None:
        monkeypatch.setattr("app.stores.shared.OUTAGE_PAUSE", 0.0)
        store = connect(broken)
        for _ in range(3):
            await store.put("a", "1", 60)
        assert logged().count("store.down") == 1 and 'ConnectionError"' in logged()
        assert "127.0.0.1" not in logged() and PASSWORD not in logged()

    async def test_a_pop_that_waits_when_the_outage_begins_is_woken(
        self, server: Breakable, connect: Callable[..., SharedStore]
    ) -> None:
        store = connect(server)
        waiting = asyncio.create_task(store.pop("queue", 60))
        await asyncio.sleep(0.05)
        server.terminate()
        await store.push("queue", "1", 60)
        assert await asyncio.wait_for(waiting, 60) == "1"

    async def test_the_server_is_used_again_when_it_is_back(
        self,
        server: Breakable,
        connect: Callable[..., SharedStore],
        advance_clock: Callable[[float], None],
        logged: Callable[[], str],
    ) -> None:
        store, elsewhere = connect(server), connect(server)
        await store.put("during", "0", 60)
        await store.claim("lock", 60)
        server.terminate()
        await store.put("during", "1", 60)
        await store.release("lock")
        await store.claim("token", 60)
        await store.push("another", "4", 60)
        waiting = asyncio.create_task(store.pop("queue", 600))
        await asyncio.sleep(0)
        server.start()
        advance_clock(max(OUTAGE_PAUSE, LISTEN_TIMEOUT))
        async with asyncio.timeout(60):
            while store.down:
                await store.get("a")
                await asyncio.sleep(0.01)
        await store.put("after", "2", 60)
        assert await elsewhere.get("after") == "2"
        for worker in (store, elsewhere):
            assert (await worker.get("during"), await worker.claim("token", 60)) == ("1", False)
        assert await elsewhere.claim("lock", 60) and await elsewhere.pop("another", 1) == "4"
        await elsewhere.push("queue", "3", 60)
        advance_clock(LISTEN_TIMEOUT)  # of a pop that began to listen to its own worker during the probe
        assert await asyncio.wait_for(waiting, 60) == "3"
        assert logged().count("store.back") == 1

    async def test_a_worker_that_starts_during_an_outage_answers(
        self, broken: Breakable, connect: Callable[..., SharedStore], begin: Begin
    ) -> None:
        talk = await begin({"says": "Yes."}, store=connect(broken))
        assert (await talk.says("Hello")).text == "Yes."
        assert (await talk.says("Are you there?")).text == "Yes."
        assert await talk.history_text() == "hello yes. are you there? yes."
