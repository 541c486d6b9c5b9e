"""What every store does that workers share: also when it does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Protocol

import pytest

from app.stores.shared import ANSWER, SharedStore
from app.tests.test_store import EveryStore
from kit.plugin import Begin

PASSWORD = "a-password-of-nobody"


class Breakable(Protocol):
    """What a store talks to. It can fail and come back at the same address."""

    def start(self) -> None: ...
    def terminate(self) -> None: ...
    def hang(self) -> None: ...
    def refuse(self) -> None: ...


class EverySharedStore(EveryStore):
    """The tests that every shared store has to pass."""

    @pytest.fixture
    def server(self) -> Any:
        """One that runs, and that a test may do anything to."""
        raise NotImplementedError

    @pytest.fixture
    def broken(self) -> Any:
        """One that does not run yet."""
        raise NotImplementedError

    @pytest.fixture
    def connect(self) -> Any:
        """What one worker has, as often as a test needs it; the keys belong to the test."""
        raise NotImplementedError

    # --- when it does not answer --------------------------------------------------------------------------

    @pytest.fixture(params=["terminate", "hang", "refuse"])
    def outage(self, request: pytest.FixtureRequest, server: Breakable) -> Any:
        """Ways to fail, while the store is in use."""
        return getattr(server, request.param)

    async def test_nothing_raises_or_takes_long_when_it_fails(
        self,
        server: Breakable,
        connect: Callable[..., SharedStore],
        outage: Callable[[], None],
        logged: Callable[[], str],
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
        self, broken: Breakable, connect: Callable[..., SharedStore], monkeypatch: Any, logged: Callable[[], str]
    ) -> None:
        monkeypatch.setattr("app.stores.shared.PAUSE", 0.0)
        store = connect(broken)
        for _ in range(3):
            await store.put("a", "1", 60)
        assert logged().count("store.down") == 1 and 'ConnectionError"' in logged()
        assert "127.0.0.1" not in logged() and PASSWORD not in logged()

    async def test_who_waits_during_an_outage_rests(
        self, broken: Breakable, connect: Callable[..., SharedStore], monkeypatch: Any
    ) -> None:
        store = connect(broken)
        looks: list[float] = []
        pop = store.own.pop

        async def noted(key: str, wait: float) -> str | None:
            looks.append(wait)
            return await pop(key, wait)

        monkeypatch.setattr(store.own, "pop", noted)
        assert await store.pop("queue", 0.2) is None
        assert len(looks) < 10

    async def test_who_waits_when_it_fails_is_still_woken(
        self, server: Breakable, connect: Callable[..., SharedStore]
    ) -> None:
        store = connect(server)
        waiting = asyncio.create_task(store.pop("queue", 5))
        await asyncio.sleep(0.05)
        server.terminate()
        await store.push("queue", "1", 60)
        assert await asyncio.wait_for(waiting, 1) == "1"

    async def test_it_is_used_again_when_it_is_back(
        self, server: Breakable, connect: Callable[..., SharedStore], monkeypatch: Any, logged: Callable[[], str]
    ) -> None:
        monkeypatch.setattr("app.stores.shared.PAUSE", 0.1)
        monkeypatch.setattr("app.stores.shared.LISTEN", 0.1)
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
        self, server: Breakable, connect: Callable[..., SharedStore], monkeypatch: Any
    ) -> None:
        store = connect(server)
        monkeypatch.setattr("app.stores.shared.ANSWER", 1.0)
        server.hang()
        await store.get("a")
        store.ask_again = 0.0  # the pause is over
        probing = asyncio.create_task(store.get("a"))
        await asyncio.sleep(0)
        started = time.monotonic()
        await store.get("a")
        assert time.monotonic() - started < 0.6
        await probing

    async def test_a_worker_that_starts_without_it_answers(
        self, broken: Breakable, connect: Callable[..., SharedStore], begin: Begin
    ) -> None:
        talk = await begin({"says": "Yes."}, store=connect(broken))
        assert (await talk.says("Hello")).text == "Yes."
        assert (await talk.says("Are you there?")).text == "Yes."
        assert await talk.heard() == "hello yes. are you there? yes."
