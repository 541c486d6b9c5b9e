"""Calls of one worker whose tools keep what cannot be saved: the others go on and end as always."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import app.session as sessions
from app import Session, this_session
from kit.caller import calls_of
from kit.testing import Dial
from kit.workers import Shared, begin, ended, nothing_ended, saved, turn, worker

__all__ = ["nothing_ended"]  # a fixture


async def test_a_tool_that_keeps_a_datetime_fails_and_the_call_goes_on(dial: Dial, logged: Callable[[], str]) -> None:
    def remember() -> str:
        """Remember the time."""
        this_session().state["at"] = datetime.now(UTC)
        return "remembered"

    rules: list[dict[str, Any]] = [{"hears": "time", "calls": {"remember": {}}, "then": "Well."}, {"says": "Yes."}]
    call = await dial(*rules, tools=[remember], store=Shared())
    await call.says("Remember the time")
    assert (await call.says("Hello")).text == "Yes."
    session = call.session
    await call.hangs_up()
    assert "at" not in session.state and "session.not_saved" not in logged()


@pytest.mark.parametrize("spoils", ["state", "history", "store"])
async def test_a_call_that_cannot_be_saved_leaves_the_others_alone(
    spoils: str, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    store = Shared()
    calls = calls_of(worker(store))
    bad, good = await begin(calls, "CA1"), await begin(calls, "CA2")
    if spoils == "state":
        bad.state["times"] = []
        bad.state["times"].append(datetime.now(UTC))
    elif spoils == "history":
        dump = sessions.dump_session

        def fails(session: Session) -> dict[str, Any]:
            if session is bad:
                raise ValueError("pineapple")
            return dump(session)

        monkeypatch.setattr(sessions, "dump_session", fails)
    else:
        put = store.put

        async def refuses(key: str, value: str, seconds: float) -> None:
            if "CA1" in key and "worker" in value:
                raise UnicodeEncodeError("utf-8", "pineapple", 0, 1, "surrogates")
            await put(key, value, seconds)

        monkeypatch.setattr(store, "put", refuses)
    for session in (bad, good):
        await turn(calls, session, "Hello")
    await calls.end("CA2")
    assert ended == [["Hello", "Yes."]]
    await saved(calls)
    await calls.end("CA1")
    assert ended == [["Hello", "Yes."]] * 2
    assert "CA1" in logged() and "pineapple" not in logged()


async def test_a_server_that_stops_ends_the_others_too() -> None:
    calls = calls_of(worker(Shared()))
    bad, good = await begin(calls, "CA1"), await begin(calls, "CA2")
    bad.parameters = {"spoilt": {1}}  # type: ignore[dict-item]
    for session in (bad, good):
        await turn(calls, session, "Hello")
    await calls.end_all()
    assert ended == [["Hello", "Yes."]] * 2


# --- the end of a server that shares its store -----------------------------------------------------------------------


async def test_a_server_that_stops_does_not_wait_for_calls_that_may_come_back() -> None:
    store = Shared()
    first, second = calls_of(worker(store)), calls_of(worker(store))
    session = await begin(first)
    await turn(first, session, "I am Ada")
    first.on_disconnect(session)
    began = asyncio.get_running_loop().time()
    await first.end_all()
    assert asyncio.get_running_loop().time() - began < 10 and ended == [] and first.get("CA1") is None
    again = await begin(second)  # with the last turn
    assert again.connection.open and [str(each) for each in again.history]
    await second.end("CA1")
    assert ended == [["I am Ada", "Yes."]]


async def test_the_end_of_a_call_that_its_stopped_worker_left_runs_elsewhere() -> None:
    store = Shared()
    first, second = calls_of(worker(store)), calls_of(worker(store))
    session = await begin(first)
    await turn(first, session, "I am Ada")
    first.on_disconnect(session)
    await first.end_all()
    await second.end("CA1")  # the request to /connect-action
    assert ended == [["I am Ada", "Yes."]]


async def test_during_an_outage_a_server_that_stops_ends_its_calls() -> None:
    store = Shared()
    calls = calls_of(worker(store))
    session = await begin(calls)
    calls.on_disconnect(session)
    store.down = True
    await calls.end_all()
    assert ended == [[]]
