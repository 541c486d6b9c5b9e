"""The store in memory, which every project has: the tests of every store, and those of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.store import InProcess
from app.stores.tests.shared_store import EveryStore


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
