"""Saves of calls, and a server with calls that stops."""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import suppress

import httpx2
import pytest

from app import Session
from app.store import InProcess
from app.voice.calls import CallRefused
from kit.caller import caller_on, calls_of
from kit.server_fixtures import health, serving, stopping
from kit.voice_fixtures import contents
from kit.workers import Shared, begin, ended, hold_next_save, nothing_ended, saved, turn, worker
from tests.kit.voice.test_reconnect_calls import STORY_RULES

__all__ = ["nothing_ended"]  # a fixture


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
    assert store.writes - before == (1 if shared else 0)


async def test_a_save_in_progress_does_not_overwrite_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(worker(store := Shared()))
    session = await begin(calls)
    started, finish = hold_next_save(store, monkeypatch)
    await turn(calls, session, "Bye")
    await started.wait()
    ending = asyncio.create_task(calls.end("CA1"))
    await asyncio.sleep(0)
    finish.set()
    await ending
    with pytest.raises(CallRefused, match="is over"):
        await begin(calls)


async def test_the_last_save_is_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(worker(store := Shared()))
    session = await begin(calls)
    _, finish = hold_next_save(store, monkeypatch)
    await turn(calls, session, "I am Ada")
    finish.set()
    await saved(calls)
    assert contents(await begin(calls_of(worker(store)))) == ["I am Ada", "Yes."]


@pytest.mark.parametrize("loses_first", [False, True], ids=["the call ends here", "the server stops"])
async def test_a_call_that_drops_is_kept_as_it_was_then(loses_first: bool) -> None:
    """Not as it was at its last turn: what happened between turns moves with the call too."""
    calls = calls_of(worker(store := Shared()))
    session = await begin(calls)
    await turn(calls, session, "I am Ada")
    await saved(calls)
    session.state["order"] = 7
    session.language = "es-MX"
    calls.on_disconnect(session)
    if loses_first:
        await asyncio.wait_for(calls.end_all(), 5)
    else:
        await saved(calls)
    resumed = await begin(calls_of(worker(store)))
    assert (resumed.state["order"], resumed.language) == (7, "es-MX")
    assert contents(resumed) == ["I am Ada", "Yes."]


async def test_a_server_that_stops_waits_for_the_call_that_has_just_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(worker(store := Shared()))
    session = await begin(calls)
    started, finish = hold_next_save(store, monkeypatch)
    session.state["order"] = 7
    calls.on_disconnect(session)
    await started.wait()
    stopping = asyncio.create_task(calls.end_all())
    done, _ = await asyncio.wait([stopping], timeout=0.05)
    assert not done, "the store would be closed before the call is in it"
    finish.set()
    await asyncio.wait_for(stopping, 5)
    assert (await begin(calls_of(worker(store)))).state["order"] == 7


async def test_what_a_caller_has_heard_of_a_reply_moves_with_the_call() -> None:
    calls = calls_of(worker(store := Shared()))
    session = await begin(calls)
    await turn(calls, session, "I am Ada")
    await saved(calls)
    await calls.on_heard(session, "Ye", True)
    await saved(calls)
    calls.on_disconnect(session)
    assert contents(await begin(calls_of(worker(store)))) == ["I am Ada", "Ye"]


async def test_a_save_that_fails_keeps_no_call_from_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(session: Session) -> None:
        raise ConnectionError

    calls = calls_of(worker(Shared()))
    monkeypatch.setattr(calls, "_save", fails)
    for end in (calls.end("CA1"), calls.end_all()):
        await turn(calls, await begin(calls, "CA1" if not ended else "CA2"), "Bye")
        await end
    assert ended == [["Bye", "Yes."], ["Bye", "Yes."]]


async def test_a_record_of_a_release_without_generations_is_the_older_one() -> None:
    calls = calls_of(worker(store := Shared()))
    await begin(calls)
    first = json.loads(await store.get("session:CA1") or "")
    del first["generation"]
    await store.put("session:CA1", json.dumps(first), 60)
    await store.put("session:CA1:2", json.dumps({**first, "generation": 1, "language": "es-MX"}), 60)
    assert (await begin(calls_of(worker(store)))).language == "es-MX"


async def test_a_draining_server_finishes_its_calls_and_reports_503() -> None:
    async with serving(*STORY_RULES, capabilities=[]) as (server, address):
        assert await health(address) == (200, {"status": "ok", "active": 0})
        async with caller_on(server.config.app, address) as call:
            assert await health(address) == (200, {"status": "ok", "active": 1})
            await call.begins("Tell me a story")
            await call.hears("Once")
            signal.raise_signal(signal.SIGTERM)
            assert (await call.hears_reply(call.turns[0])).text == STORY_RULES[0]["says"]
            assert await health(address) == (503, {"status": "draining", "active": 1})
            assert (await call.says("And now?")).text == "Yes."
            await call.hangs_up()
            assert await stopping(server)


@pytest.mark.parametrize(
    ("drain", "signals_again"), [({"drain": 0.1}, False), ({}, True)], ids=["not in time", "a second signal"]
)
async def test_calls_are_cut_off_after_the_drain_and_at_a_second_signal(
    drain: dict[str, float], signals_again: bool
) -> None:
    async with serving(*STORY_RULES, capabilities=[], **drain) as (server, address):
        stops = []
        with suppress(httpx2.TransportError):  # the caller hangs up, and the server is gone
            async with caller_on(server.config.app, address):
                signal.raise_signal(signal.SIGTERM)
                while server.draining is None:
                    await asyncio.sleep(0)
                stops.append(server.should_exit)
                if signals_again:
                    signal.raise_signal(signal.SIGTERM)
                stops.append(await stopping(server))
        assert stops == [False, True]
