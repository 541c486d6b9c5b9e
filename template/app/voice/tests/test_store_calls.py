"""Calls on several workers that share a store: a call goes on where it was, on any worker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI

from app.capability import Capability, Timeouts
from app.connection import Connection
from app.session import Session
from app.store import InProcess, Store
from app.voice.calls import CallRefused, Calls
from kit import defaults
from kit.agent_app import build_app
from kit.caller import Call, calls_of
from kit.local_server import serve
from kit.voice_fixtures import Dial

ended: list[list[str]] = []


class Noting(Capability):
    """Notes the texts of the calls that ended."""

    async def on_end(self, session: Session) -> None:
        ended.append(texts(session))


@pytest.fixture(autouse=True)
def nothing_ended() -> None:
    ended.clear()


def options(store: Store, reconnect: float = 60.0) -> dict[str, Any]:
    """A worker on `store`. A call expires only when a test says so."""
    return {"store": store, "capabilities": [Noting], "timeouts": Timeouts(reconnect=reconnect)}


def worker(store: Store) -> FastAPI:
    return build_app(**options(store))


async def begin(calls: Calls) -> Session:
    return await calls.start("CA1", caller=defaults.CALLER, called=defaults.CALLED, connection=Connection())


async def turn(calls: Calls, session: Session, text: str) -> None:
    async for _ in calls.reply(session, text):
        pass


async def saved(calls: Calls) -> None:
    """Wait until the saves in the background are done."""
    await asyncio.gather(*calls._saving)


async def expires(calls: Calls, call_sid: str = "CA1") -> None:
    """The time in which a call may come back is over."""
    call = calls._calls[call_sid]
    call.cancel_expiry()
    await calls.expire(call)


def texts(session: Session) -> list[str]:
    return [str(part.content) for message in session.history for part in message.parts if hasattr(part, "content")]


def moves(call: Call, app: FastAPI, address: str) -> None:
    """From now on the load balancer sends this call's requests to another worker."""
    call.app, call.address, call._http.base_url = app, address, f"http://{address}"


class EveryWorker:
    """The tests that every shared store has to pass. `elsewhere` is another worker's store."""

    @pytest.fixture
    def store(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def elsewhere(self, store: Store) -> Any:
        return store

    async def test_a_disconnected_call_goes_on_on_another_worker(
        self, dial: Dial, store: Store, elsewhere: Store
    ) -> None:
        call = await dial({"hears": "", "says": "You said something."}, **options(store))
        await call.says("I am Ada")
        first, other = calls_of(call.app), worker(elsewhere)
        async with serve(other) as address:
            moves(call, other, address)
            await call.drops()
            await expires(first, call.sid)
            assert first.get(call.sid) is None and ended == []
            assert (await call.says("And I like tea")).text == "Yes."
            assert call.session.caller == defaults.CALLER
            await call.hangs_up()
        assert ended == [["I am Ada", "You said something.", "And I like tea", "Yes."]]

    async def test_a_call_that_ended_is_refused_by_every_worker(
        self, dial: Dial, store: Store, elsewhere: Store
    ) -> None:
        call = await dial(**options(store))
        await call.hangs_up()
        with pytest.raises(CallRefused, match="is over"):
            await calls_of(worker(elsewhere)).start(call.sid, caller="", called="", connection=Connection())

    async def test_the_last_reply_is_known_elsewhere_when_no_worker_noticed_the_disconnect(
        self, store: Store, elsewhere: Store
    ) -> None:
        first, second = calls_of(worker(store)), calls_of(worker(elsewhere))
        await turn(first, await begin(first), "I am Ada")
        await saved(first)
        assert texts(await begin(second)) == ["I am Ada", "Yes."]

    async def test_a_worker_that_notices_late_leaves_the_call_to_the_other(
        self, store: Store, elsewhere: Store
    ) -> None:
        first, second = calls_of(worker(store)), calls_of(worker(elsewhere))
        stale = await begin(first)
        await turn(second, await begin(second), "I am Ada")
        await saved(second)
        first.on_disconnect(stale)
        await expires(first)
        assert (first.get("CA1"), ended) == (None, [])
        assert texts(await begin(calls_of(worker(store)))) == ["I am Ada", "Yes."]

    async def test_a_call_comes_back_to_a_worker_that_has_not_noticed(self, store: Store, elsewhere: Store) -> None:
        first, second = calls_of(worker(store)), calls_of(worker(elsewhere))
        await begin(first)
        with pytest.raises(CallRefused, match="is being served"):
            await begin(first)
        session = await second.find("CA1")
        assert session
        await second.mark_dropped(session)  # Twilio has asked the other worker what to do
        assert (await begin(first)).connection.open

    async def test_a_call_comes_back_with_the_texts_of_the_other_worker(self, store: Store, elsewhere: Store) -> None:
        first, second = calls_of(worker(store)), calls_of(worker(elsewhere))
        await begin(first)
        await turn(second, await begin(second), "I am Ada")
        await saved(second)
        assert texts(await begin(first)) == ["I am Ada", "Yes."]

    async def test_on_end_knows_the_texts_of_the_other_worker(self, store: Store, elsewhere: Store) -> None:
        first, second = calls_of(worker(store)), calls_of(worker(elsewhere))
        first.on_disconnect(await begin(first))
        await turn(second, await begin(second), "I am Ada")
        await saved(second)
        await first.end("CA1")
        await second.end("CA1")
        assert ended == [["I am Ada", "Yes."]]

    async def test_a_call_that_ended_stays_ended_when_its_worker_notices_late(
        self, store: Store, elsewhere: Store
    ) -> None:
        first, second = calls_of(worker(store)), calls_of(worker(elsewhere))
        session = await begin(first)
        await second.end("CA1")
        first.on_disconnect(session)
        await saved(first)
        with pytest.raises(CallRefused, match="is over"):
            await begin(second)
        await first.end_all()

    async def test_a_server_that_stops_does_not_end_calls_of_other_workers(
        self, store: Store, elsewhere: Store
    ) -> None:
        first, second = calls_of(worker(store)), calls_of(worker(elsewhere))
        first.on_disconnect(await begin(first))
        session = await begin(second)
        await first.end_all()
        assert ended == []
        await turn(second, session, "Are you there?")
        await second.end("CA1")
        assert ended == [["Are you there?", "Yes."]]

    async def test_a_call_that_the_store_has_lost_still_ends(self, store: Store) -> None:
        calls = calls_of(worker(store))
        session = await begin(calls)
        await turn(calls, session, "I am Ada")
        calls.on_disconnect(session)
        await saved(calls)
        await store.put("session:CA1", "", 0)
        await expires(calls)
        assert ended == [["I am Ada", "Yes."]]


class Shared(InProcess):
    """One store for the workers of a test."""

    shared = True


class TestShared(EveryWorker):
    @pytest.fixture
    def store(self) -> Shared:
        return Shared()


async def test_without_other_workers_a_server_that_stops_ends_its_calls_at_once() -> None:
    calls = calls_of(worker(InProcess()))
    calls.on_disconnect(await begin(calls))
    await asyncio.wait_for(calls.end_all(), 5)
    assert ended == [[]]


class Counting(InProcess):
    writes = 0

    async def put(self, key: str, value: str, seconds: float) -> None:
        self.writes += key.startswith("session:")
        await super().put(key, value, seconds)


@pytest.mark.parametrize("shared", [False, True])
async def test_a_turn_is_written_only_to_a_store_that_other_workers_read(shared: bool) -> None:
    store = Counting()
    store.shared = shared
    calls = calls_of(worker(store))
    session = await begin(calls)
    before = store.writes
    await turn(calls, session, "I am Ada")
    await saved(calls)
    assert store.writes - before == (2 if shared else 0)


class Held(Shared):
    """A store whose next write of a session waits for `released`."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = False
        self.released = asyncio.Event()

    async def put(self, key: str, value: str, seconds: float) -> None:
        if key.startswith("session:") and self.holds:
            self.holds = False
            await self.released.wait()
        await super().put(key, value, seconds)


async def test_a_save_in_progress_does_not_overwrite_the_end() -> None:
    store = Held()
    calls = calls_of(worker(store))
    session = await begin(calls)
    store.holds = True
    await turn(calls, session, "Bye")
    ending = asyncio.create_task(calls.end("CA1"))
    await asyncio.sleep(0)
    store.released.set()
    await ending
    with pytest.raises(CallRefused, match="is over"):
        await begin(calls)


async def test_the_last_save_is_the_latest() -> None:
    store = Held()
    calls = calls_of(worker(store))
    session = await begin(calls)
    store.holds = True
    await turn(calls, session, "I am Ada")
    store.released.set()
    await saved(calls)
    assert texts(await begin(calls_of(worker(store)))) == ["I am Ada", "Yes."]
