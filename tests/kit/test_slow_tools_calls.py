"""Tools that are slow, hang, or are at work when the caller interrupts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from pydantic_ai import messages as m

from app.voice.phrases import phrases
from kit.caller import Call
from kit.testing import Dial
from kit.voice_fixtures import contents

DEADLINE = 10.0  # seconds; nothing in these tests takes as long, and only `advance_clock` makes it pass


class SlowTool:
    """A tool that works until `finish` is set."""

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


BOOKING_RULES = [{"hears": "book", "says": "One moment. ", "calls": {"book": {}}}, {"hears": "", "says": "Yes."}]


async def booking(dial: Dial, slow: SlowTool) -> Call:
    """A call in which the tool is at work."""
    call = await dial(*BOOKING_RULES, tools=[slow.book])
    await call.begins("book it")
    await slow.started.wait()
    return call


@pytest.mark.parametrize(
    ("then", "rest"), [("{result}", "booked"), (" ", phrases.APOLOGY)], ids=["a reply", "an empty reply"]
)
async def test_a_caller_is_asked_to_hold_while_a_tool_is_slow(
    dial: Dial, slow: SlowTool, let_time_pass: Callable[[float], Awaitable[None]], then: str, rest: str
) -> None:
    call = await dial({"calls": {"book": {}}, "then": then}, tools=[slow.book], deadline=DEADLINE)
    turn = await call.begins("Book it")
    await slow.started.wait()
    await let_time_pass(DEADLINE)
    await call.hears(phrases.HOLD)
    slow.finish.set()
    assert (await call.hears_reply(turn)).text.split() == f"{phrases.HOLD} {rest}".split()


async def test_a_tool_that_hangs_is_given_up(
    dial: Dial, slow: SlowTool, let_time_pass: Callable[[float], Awaitable[None]]
) -> None:
    rule = {"calls": {"book": {}}, "then": "Sorry, that did not work."}
    call = await dial(rule, tools=[slow.book], deadline=DEADLINE)
    turn = await call.begins("Book it")
    await slow.started.wait()
    for _ in range(2):  # a tool may take twice as long as a model
        await let_time_pass(DEADLINE)
        await call.hears(phrases.HOLD)
    assert (await call.hears_reply(turn)).text == f"{phrases.HOLD} Sorry, that did not work."


async def test_an_interrupted_tool_finishes_and_the_next_turn_has_its_result(dial: Dial, slow: SlowTool) -> None:
    call = await booking(dial, slow)
    await call.interrupts(after="One moment.")
    slow.finish.set()
    await slow.finished.wait()
    await call.says("Did it work?")
    assert contents(call.session, m.ToolReturnPart) == ["booked"]


@pytest.mark.parametrize("interrupts", [True, False], ids=["an interruption", "a new prompt"])
async def test_the_next_turn_says_that_a_result_is_not_known_yet(dial: Dial, slow: SlowTool, interrupts: bool) -> None:
    call = await booking(dial, slow)
    if interrupts:
        await call.interrupts(after="One moment.")
    await call.says("Did it work?")
    (result,) = contents(call.session, m.ToolReturnPart)
    assert "not known" in result
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
