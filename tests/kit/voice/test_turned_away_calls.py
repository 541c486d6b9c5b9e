"""New calls that are not taken: the agent is off or cannot keep up, too many calls at once, or of one number."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

import app.main
from app.capability import Timeouts
from app.event_loop import MAX_LAG, RECENT, Load
from app.voice.phrases import phrases
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, caller_on, dial_app
from kit.local_server import serve
from kit.testing import Dial
from tests.kit.fault_table import ROWS, holds


def turned_away(call: Call, human: bool = True) -> bool:
    """Whether the caller got to a human or a menu, or heard BUSY, and the agent has no part in it."""
    assert call.relay is None and call.session is None
    elsewhere = bool(call.queue or call.gather or call.dialed or call.farewell.strip())
    return (human and elsewhere) or phrases.BUSY in call.farewell


async def test_off_sends_every_call_away(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial(off=True)
    assert turned_away(call)
    assert '"limit": "off"' in logged()


async def test_calls_at_once_are_limited_and_an_end_makes_room() -> None:
    app = build_app(max_calls=1)
    async with serve(app) as address:
        async with caller_on(app, address, account=app.state.account) as first:
            assert first.session
            async with caller_on(app, address, account=app.state.account, caller="+15005550007") as second:
                assert turned_away(second)
            assert (await first.says("Are you there?")).text.strip() == "Yes."
        async with caller_on(app, address, account=app.state.account, caller="+15005550007") as third:
            assert (await third.says("Are you there?")).text.strip() == "Yes."


async def test_calls_that_come_in_one_moment_are_counted_before_they_connect() -> None:
    app = build_app(max_calls=2)
    voice = app.state.conversations.channel("voice")
    forms: list[dict[str, str]] = [{"CallSid": f"CA{n}", "From": f"+1500555000{n}", "To": "+1"} for n in range(4)]
    answers = await asyncio.gather(*(voice.answer_call(form) for form in forms))
    assert sum("ConversationRelay" in answer or "Gather" in answer for answer in answers) >= 2
    connected = [answer for answer in answers if "<ConversationRelay" in answer]
    assert len(connected) <= 2


@pytest.mark.parametrize("caller", ["+15005550006", "anonymous"])
async def test_calls_of_one_number_are_limited_and_withheld_numbers_are_not_one(caller: str) -> None:
    app = build_app(caller_calls=2)
    async with serve(app) as address:
        for number in range(3):
            async with caller_on(app, address, account=app.state.account, caller=caller) as call:
                if number == 2 and caller != "anonymous":
                    assert turned_away(call, human=False), "words, and no place in the queue of people"
                else:
                    assert (await call.says("Hello")).text.strip() == "Yes."
        async with caller_on(app, address, account=app.state.account, caller="+15005550008") as other:
            assert (await other.says("Hello")).text.strip() == "Yes."


async def test_a_call_in_progress_ends_with_words_when_its_tokens_are_used() -> None:
    rules: list[dict[str, Any]] = [{"hears": "", "says": "word " * 400}]
    app = build_app(*rules, call_tokens=100)
    async with dial_app(app, account=app.state.account) as call:
        await call.says("Tell me everything")
        turn = await call.says("And more?")
        await call.wait_for_end()
        assert phrases.BUSY in turn.text or call.queue or call.task
        if call.queue is None:
            assert call.handoff == {"reasonCode": "call_tokens"} and phrases.GOODBYE in call.farewell


async def test_a_worker_that_cannot_keep_up_takes_no_new_call_until_it_can(
    logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.main, "LOOK", 3600.0)  # this worker keeps up with its test
    server = build_app(timeouts=Timeouts(blocked=3600.0))
    load = server.state.brain.services.load
    async with serve(server) as address, httpx2.AsyncClient(base_url=f"http://{address}") as http:
        async with caller_on(server, address, account=server.state.account) as first:
            for _ in range(RECENT):
                load.add(2 * MAX_LAG)
            before = await http.get("/healthz")
            async with caller_on(server, address, account=server.state.account, caller="+15005550007") as second:
                assert turned_away(second)
            assert (await first.says("Are you there?")).text.strip() == "Yes."
        assert (before.status_code, before.json()["status"]) == (503, "overloaded")
        assert holds(ROWS["more calls come than the server can serve"], logged(), "keypad_menu.offered")
        load.add(0.0)
        assert (await http.get("/healthz")).status_code == 200
        async with caller_on(server, address, account=server.state.account, caller="+15005550007") as third:
            assert (await third.says("Are you there?")).text.strip() == "Yes."


async def test_the_lag_of_the_event_loop_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    late = itertools.count()
    monkeypatch.setattr(app.main, "monotonic", lambda: 2 * MAX_LAG * next(late))
    server = build_app()
    async with serve(server):
        await wait_until(lambda: server.state.brain.services.load.is_too_high, "every look found it late")


def test_one_late_look_is_no_overload() -> None:
    load = Load()
    for lag in (60.0, 0.0, 60.0, 60.0, 60.0):
        load.add(lag)
    assert not load.is_too_high
    load.add(60.0)
    assert load.is_too_high
