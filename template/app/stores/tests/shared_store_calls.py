"""Calls on several workers that share a store, and calls while it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from fastapi import FastAPI

from app.connection import Connection
from app.store import Store
from app.stores.shared import OUTAGE_PAUSE, SharedStore
from app.stores.tests.shared_store import REQUEST_TIMEOUT, Breakable, PatientStores, TwoStores
from app.voice.calls import CallRefused, Calls
from kit import defaults
from kit.activity import wait_until
from kit.caller import Call, calls_of
from kit.local_server import serve
from kit.voice_fixtures import Dial, contents
from kit.workers import (
    begin,
    ended,
    hold_next_save,
    options,
    saved,
    turn,
    worker,
)


def move_to(call: Call, app: FastAPI, address: str) -> None:
    """From now on the load balancer sends this call's requests to another worker."""
    call.app, call.address, call._http.base_url = app, address, f"http://{address}"


async def expires(calls: Calls, call_sid: str = "CA1") -> None:
    """The time in which a call may come back is over."""
    call = calls._calls[call_sid]
    call.cancel_expiry()
    await calls.expire(call)


class EveryWorker(TwoStores):
    """A call goes on where it was, on any worker."""

    async def test_a_disconnected_call_goes_on_on_another_worker(
        self, dial: Dial, store: Store, elsewhere: Store
    ) -> None:
        call = await dial({"hears": "", "says": "You said something."}, **options(store))
        await call.says("I am Ada")
        first, other = calls_of(call.app), worker(elsewhere)
        async with serve(other) as address:
            move_to(call, other, address)
            await call.drops()
            async with asyncio.timeout(60):
                while await first.sessions.owner(call.sid) == first.sessions.worker:
                    await asyncio.sleep(0.01)  # the other worker has yet to save the call
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
        assert contents(await begin(second)) == ["I am Ada", "Yes."]

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
        assert contents(await begin(calls_of(worker(store)))) == ["I am Ada", "Yes."]

    async def test_a_slow_save_does_not_take_a_call_back(
        self, store: Store, elsewhere: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = calls_of(worker(store)), calls_of(worker(elsewhere))
        disconnected = await begin(first)
        started, finish = hold_next_save(store, monkeypatch)
        first.on_disconnect(disconnected)
        await started.wait()
        session = await begin(second)
        finish.set()
        await saved(first)
        await turn(second, session, "I am Ada")
        await saved(second)
        await expires(first)
        assert ended == []
        assert contents(await begin(calls_of(worker(store)))) == ["I am Ada", "Yes."]

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
        assert contents(await begin(first)) == ["I am Ada", "Yes."]

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


class EverySharedWorker(PatientStores, EveryWorker):
    """The tests that every shared store has to pass. Its fixtures are those of EverySharedStore."""

    async def test_a_server_that_stops_leaves_its_calls_to_others(
        self, store: SharedStore, elsewhere: SharedStore
    ) -> None:
        first, second = calls_of(worker(store)), calls_of(worker(elsewhere))
        first.on_disconnect(await begin(first))
        stopping = asyncio.create_task(first.end_all())
        assert (await begin(second)).connection.open
        if first.get("CA1"):
            await expires(first)
        await stopping
        assert ended == []

    async def test_a_worker_that_starts_during_an_outage_answers_calls(
        self, broken: Breakable, connect: Callable[..., SharedStore], dial: Dial
    ) -> None:
        call = await dial(**options(connect(broken)))
        assert (await call.says("Hello")).text == "Yes."
        await call.drops()
        assert (await call.says("Are you there?")).text == "Yes."
        assert contents(call.session) == ["Hello", "Yes."]
        await call.hangs_up()
        assert ended == [["Hello", "Yes.", "Are you there?", "Yes."]]

    async def test_a_call_goes_on_during_an_outage_and_after_it(
        self,
        server: Breakable,
        connect: Callable[..., SharedStore],
        dial: Dial,
        advance_clock: Callable[[float], None],
    ) -> None:
        store = connect(server)
        call = await dial(**options(store))
        calls = calls_of(call.app)
        await call.says("One")
        await saved(calls)
        server.hang()
        await call.says("Two")
        assert not store.down, "the reply has waited for a save to fail"
        advance_clock(REQUEST_TIMEOUT)
        await wait_until(lambda: store.down, "the hanging store is not noticed")
        await call.says("Three")
        server.terminate()
        await call.says("Four")
        await saved(calls)
        server.start()
        advance_clock(OUTAGE_PAUSE)
        await wait_until(lambda: not store.down, "the store is not used again")
        await call.says("Five")
        await saved(calls)
        other = worker(connect(server))
        async with serve(other) as address:
            move_to(call, other, address)
            await call.drops()
            await call.says("Six")
            await call.hangs_up()
        said = [text for text in ended[0] if text != "Yes."]
        assert said == ["One", "Two", "Three", "Four", "Five", "Six"]
