"""Calls on several workers that share a store, and calls while it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from app.stores.shared import SharedStore
from app.stores.tests.shared_store import Breakable
from app.voice.tests.test_store_calls import EveryWorker, begin, ended, moves, options, saved, texts, worker
from kit.agent_app import build_app
from kit.caller import calls_of
from kit.local_server import serve
from kit.voice_fixtures import Dial


class EverySharedWorker(EveryWorker):
    """The tests that every shared store has to pass. Its fixtures are those of EverySharedStore."""

    async def test_a_server_that_stops_leaves_its_calls_to_others(
        self, store: SharedStore, elsewhere: SharedStore
    ) -> None:
        first, second = calls_of(build_app(**options(store, reconnect=1.0))), calls_of(worker(elsewhere))
        first.on_disconnect(await begin(first))
        stopping = asyncio.create_task(first.end_all())
        assert (await begin(second)).connection.open
        await stopping
        assert ended == []

    async def test_a_worker_that_starts_without_it_answers_calls(
        self, broken: Breakable, connect: Callable[..., SharedStore], dial: Dial
    ) -> None:
        call = await dial(**options(connect(broken)))
        assert (await call.says("Hello")).text == "Yes."
        await call.drops()
        assert (await call.says("Are you there?")).text == "Yes."
        assert texts(call.session) == ["Hello", "Yes."]
        await call.hangs_up()
        assert ended == [["Hello", "Yes.", "Are you there?", "Yes."]]

    async def test_a_call_goes_on_when_it_fails_and_when_it_is_back(
        self, server: Breakable, connect: Callable[..., SharedStore], dial: Dial, monkeypatch: Any
    ) -> None:
        monkeypatch.setattr("app.stores.shared.PAUSE", 0.1)
        store = connect(server)
        call = await dial(**options(store))
        await call.says("One")
        server.hang()
        for text in ("Two", "Three"):
            reply = await call.says(text)
            assert reply.total is not None and reply.total < 900
        server.terminate()
        await call.says("Four")
        await saved(calls_of(call.app))
        server.start()
        async with asyncio.timeout(10):
            while store.down:
                await asyncio.sleep(0.05)
                await store.get("anything")
        await call.says("Five")
        other = worker(connect(server))
        async with serve(other) as address:
            moves(call, other, address)
            await call.drops()
            await call.says("Six")
            await call.hangs_up()
        said = [text for text in ended[0] if text != "Yes."]
        assert said == ["One", "Two", "Three", "Four", "Five", "Six"]
