"""What callers hear while something takes long or breaks: phrases, in time; and tools finish what they began."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest
from pydantic_ai import messages as m

from agent import phrases
from app.tests.test_failures import BROKEN, IN_TIME
from app.voice.calls import Calls
from kit import twiml
from kit.caller import Call
from kit.plugin import Web
from kit.voice_fixtures import Dial


@pytest.mark.parametrize("rule", [*BROKEN.values(), {"says": "One two", "breaks_off": True}])
async def test_a_broken_turn_is_closed_exactly_once(dial: Dial, rule: dict[str, Any]) -> None:
    call = await dial(rule, deadline=0.1)
    await call.says("Hello")
    assert [frame["last"] for frame in call.frames].count(True) == 1
    assert call.frames[-1]["last"] is True


async def test_a_silent_model_is_given_up_at_the_deadline_and_not_later(dial: Dial) -> None:
    call = await dial({"hangs": True}, fallback=[{"says": "Yes."}], deadline=0.3)
    turn = await call.says("Hello")
    assert turn.total is not None and 300 <= turn.total < 1100


async def test_a_tool_that_hangs_is_held_for_and_then_given_up(dial: Dial) -> None:
    async def hang() -> str:
        """Look something up."""
        await asyncio.Event().wait()
        return "never"

    call = await dial({"calls": {"hang": {}}, "then": "Sorry, that did not work."}, tools=[hang], deadline=0.3)
    turn = await call.says("Look it up")
    assert turn.text == f"{phrases.HOLD} Sorry, that did not work."
    assert turn.total is not None and turn.total < IN_TIME


async def test_a_slow_tool_is_waited_for(dial: Dial) -> None:
    async def slow() -> str:
        """Look something up."""
        await asyncio.sleep(0.3)
        return "found"

    call = await dial({"calls": {"slow": {}}}, tools=[slow], deadline=0.2)
    assert (await call.says("Look it up")).text == f"{phrases.HOLD} found"


async def test_to_hold_is_not_to_answer(dial: Dial) -> None:
    async def slow() -> str:
        """Look something up."""
        await asyncio.sleep(0.3)
        return "found"

    call = await dial({"calls": {"slow": {}}, "then": " "}, tools=[slow], deadline=0.2)
    turn = await call.says("Look it up")
    assert turn.text.startswith(phrases.HOLD) and turn.text.endswith(phrases.APOLOGY)


class SlowTool:
    """A tool that works until it is told to finish."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.finish = asyncio.Event()
        self.finished = asyncio.Event()

    async def book(self) -> str:
        """Book it."""
        self.started.set()
        await self.finish.wait()
        self.finished.set()
        return "booked"


@pytest.fixture
def slow() -> SlowTool:
    return SlowTool()


BOOKS = [{"hears": "book", "says": "One moment. ", "calls": {"book": {}}}, {"hears": "", "says": "Yes."}]


async def test_an_interrupted_tool_finishes(dial: Dial, slow: SlowTool) -> None:
    call = await dial(*BOOKS, tools=[slow.book])
    await call.begins("book it")
    await slow.started.wait()
    await call.interrupts(after="One moment.")
    slow.finish.set()
    async with asyncio.timeout(1):
        await slow.finished.wait()


async def test_the_next_turn_knows_the_outcome_of_an_interrupted_tool(dial: Dial, slow: SlowTool) -> None:
    call = await dial(*BOOKS, tools=[slow.book])
    await call.begins("book it")
    await slow.started.wait()
    await call.interrupts(after="One moment.")
    slow.finish.set()
    await slow.finished.wait()
    await call.says("Did it work?")
    assert outcomes(call) == ["booked"]


async def test_the_next_turn_knows_that_an_outcome_is_unknown(dial: Dial, slow: SlowTool) -> None:
    call = await dial(*BOOKS, tools=[slow.book])
    await call.begins("book it")
    await slow.started.wait()
    await call.interrupts(after="One moment.")
    await call.says("Did it work?")
    assert ["not known" in outcome for outcome in outcomes(call)] == [True]
    slow.finish.set()


async def test_new_words_without_an_interruption_keep_the_tool_call_too(dial: Dial, slow: SlowTool) -> None:
    call = await dial(*BOOKS, tools=[slow.book])
    await call.begins("book it")
    await slow.started.wait()
    await call.says("Are you there?")
    assert len(outcomes(call)) == 1
    slow.finish.set()


async def test_every_tool_call_in_the_history_has_exactly_one_return(dial: Dial, slow: SlowTool) -> None:
    async def quick() -> str:
        """Look it up."""
        return "found"

    call = await dial(
        {"hears": "both", "calls": {"quick": {}, "book": {}}},
        {"hears": "quick", "calls": {"quick": {}}},
        {"hears": "", "says": "Yes."},
        tools=[slow.book, quick],
    )
    await call.says("quick")
    await call.begins("both")
    await slow.started.wait()
    await call.interrupts()
    await call.says("And now?")
    slow.finish.set()
    parts = [part for message in call.session.history for part in message.parts]
    called = Counter(part.tool_call_id for part in parts if isinstance(part, m.ToolCallPart))
    returned = Counter(part.tool_call_id for part in parts if isinstance(part, m.ToolReturnPart))
    assert len(called) == 3 and called == returned


@pytest.mark.parametrize("path", ["/twiml", "/connect-action"])
async def test_a_defect_in_a_twilio_route_is_spoken(web: Web, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.delattr(phrases, "GREETING")
    monkeypatch.delattr(Calls, "end")
    answer = await web.post(path, {"CallSid": "CA1", "CallStatus": "in-progress"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
    assert twiml.read(answer.text).said == phrases.UNAVAILABLE


async def test_a_defect_in_a_turn_ends_in_an_apology(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    call = await dial({"says": "Yes."})
    monkeypatch.delattr(call.session, "now")
    assert (await call.says("Hello")).text == phrases.APOLOGY


def outcomes(call: Call) -> list[str]:
    """What tools have returned, according to the history."""
    parts = [part for message in call.session.history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, m.ToolReturnPart)]
