"""Outages of a shared store, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from app.store import InProcess
from app.stores.shared import LISTEN_TIMEOUT, OUTAGE_PAUSE, REQUEST_TIMEOUT, SharedStore

pytestmark = pytest.mark.virtual_time


class FakeStore(SharedStore):
    """A store whose server is `up`, or `refuses`, or `hangs`. `requests` has the name of each request to it."""

    def __init__(self) -> None:
        super().__init__()
        self.server = InProcess()
        self.mode = "up"
        self.requests: list[str] = []

    async def _answer(self, name: str) -> None:
        self.requests.append(name)
        if self.mode == "hangs":
            await asyncio.Event().wait()
        if self.mode == "refuses":
            raise ConnectionError

    async def _get(self, key: str) -> str | None:
        await self._answer("get")
        return await self.server.get(key)

    async def _put(self, key: str, value: str, seconds: float) -> None:
        await self._answer("put")
        await self.server.put(key, value, seconds)

    async def _claim(self, key: str, value: str, seconds: float) -> bool:
        await self._answer("claim")
        if await self.server.get(key) is not None:
            return False
        await self.server.put(key, value, seconds)
        return True

    async def _release(self, key: str) -> None:
        await self._answer("release")
        await self.server.release(key)

    async def _push(self, key: str, value: str, seconds: float) -> None:
        await self._answer("push")
        await self.server.push(key, value, seconds)

    async def _pop(self, key: str, wait: float) -> str | None:
        await self._answer("pop")
        return await self.server.pop(key, wait)

    async def reach(self) -> None:
        await self._answer("reach")


@pytest.fixture
async def store() -> AsyncGenerator[FakeStore]:
    store = FakeStore()
    yield store
    await store.close()


def clock() -> float:
    return asyncio.get_running_loop().time()


async def test_a_store_that_hangs_costs_one_request_timeout(store: FakeStore) -> None:
    store.mode = "hangs"
    await store.put("a", "1", 60)
    assert (clock(), store.requests) == (REQUEST_TIMEOUT, ["put"])
    assert await store.get("a") == "1" and await store.claim("token", 60) and not await store.claim("token", 60)
    await store.push("queue", "1", 60)
    assert await store.pop("queue", 1) == "1"
    assert (clock(), store.requests) == (REQUEST_TIMEOUT, ["put"])


async def test_after_a_pause_one_request_probes_and_no_caller_waits_for_it(store: FakeStore) -> None:
    store.mode = "hangs"
    await store.get("a")
    await asyncio.sleep(OUTAGE_PAUSE + REQUEST_TIMEOUT / 2)
    began = clock()
    await store.get("a")
    assert (clock(), store.requests) == (began, ["get", "put"])


async def test_a_store_that_is_back_is_used_again(store: FakeStore) -> None:
    store.mode = "refuses"
    await store.put("a", "1", 60)
    store.mode = "up"
    await store.put("b", "2", 60)
    assert await store.server.get("b") is None, "before the end of the pause"
    await asyncio.sleep(OUTAGE_PAUSE + 0.1)
    await store.put("c", "3", 60)
    assert await store.server.get("c") and (await store.get("c"), await store.get("a")) == ("3", "1")


async def test_a_pop_during_an_outage_waits_without_polling(store: FakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.mode = "refuses"
    waits: list[float] = []
    pop = store.own.pop

    async def noted(key: str, wait: float) -> str | None:
        waits.append(wait)
        return await pop(key, wait)

    monkeypatch.setattr(store.own, "pop", noted)
    assert await store.pop("queue", 0.2) is None
    assert clock() == 0.2 and len(waits) < 10


async def test_a_pop_waits_longer_than_other_requests_and_listens_again(store: FakeStore) -> None:
    wait = 3 * LISTEN_TIMEOUT
    assert await store.pop("queue", wait) is None
    assert clock() == wait and not store.down
    waiting = asyncio.create_task(store.pop("queue", wait))
    await asyncio.sleep(2.5 * LISTEN_TIMEOUT)
    await store.push("queue", "1", 60)
    assert await waiting == "1" and clock() == wait + 2.5 * LISTEN_TIMEOUT
