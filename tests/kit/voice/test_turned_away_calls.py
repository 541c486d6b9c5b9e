"""New calls that are not taken: the agent is off, too many calls at once, or too many of one number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.voice.phrases import phrases
from kit.agent_app import build_app
from kit.caller import Call, caller_on, dial_app
from kit.local_server import serve
from kit.testing import Dial


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
