"""Behaviour of every store, and of the one in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.store import InProcess, Store


class EveryStore:
    """The tests that every store has to pass. `elsewhere` is the store of another worker."""

    @pytest.fixture
    def store(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def elsewhere(self, store: Store) -> Any:
        return store

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


@pytest.mark.virtual_time
class TestInProcess(EveryStore):
    @pytest.fixture
    def store(self) -> InProcess:
        return InProcess()

    async def test_a_value_does_not_expire_early(self, store: InProcess) -> None:
        await store.put("a", "1", 60)
        await store.claim("b", 60)
        await store.push("c", "3", 60)
        await asyncio.sleep(59)
        assert (await store.get("a"), await store.claim("b", 60), await store.pop("c", 0)) == ("1", False, "3")

    @pytest.mark.parametrize("keep", ["put", "push"])
    async def test_expired_keys_are_removed(self, store: InProcess, monkeypatch: Any, keep: str) -> None:
        monkeypatch.setattr("app.store.SWEEP_THRESHOLD", 10)
        store = InProcess()
        fill: Callable[[str, str, float], Awaitable[None]] = getattr(store, keep)
        for number in range(100):
            await fill(str(number), "x", 0)
        assert len(store.values) + len(store.queues) <= 11
