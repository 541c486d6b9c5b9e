"""What callers hear when something breaks: words, in time, and never the reason."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from agent import words
from app.calls import Calls
from sim import twiml
from sim.call import Call
from sim.features import played
from sim.model import ModelDown, last_exchange, tool_calls
from tests.conftest import Dial, Web

IN_TIME = 2000  # milliseconds: far more than the deadline of these tests, for machines under load

BROKEN = {
    "an error": {"fails": True},
    "no answer": {"hangs": True},
    "an empty answer": {"says": ""},
    "a blank answer": {"says": "  \n "},
}


@pytest.mark.parametrize("rule", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_model_is_apologised_for_in_time(dial: Dial, rule: dict[str, Any]) -> None:
    call = await dial(rule, deadline=0.1)
    turn = await call.says("Hello")
    assert words.APOLOGY in turn.text
    assert turn.first is not None and turn.first < IN_TIME
    assert turn.total is not None and turn.total < IN_TIME


@pytest.mark.parametrize("rule", BROKEN.values(), ids=BROKEN.keys())
async def test_the_turn_after_a_broken_one_works(dial: Dial, rule: dict[str, Any]) -> None:
    call = await dial({"hears": "first", **rule}, {"hears": "second", "says": "Yes."}, deadline=0.3)
    await call.says("first")
    assert (await call.says("second")).text.endswith("Yes.")


@pytest.mark.parametrize("rule", [*BROKEN.values(), {"says": "One two", "breaks_off": True}])
async def test_a_broken_turn_is_closed_exactly_once(dial: Dial, rule: dict[str, Any]) -> None:
    call = await dial(rule, deadline=0.1)
    await call.says("Hello")
    assert [frame["last"] for frame in call.frames].count(True) == 1
    assert call.frames[-1]["last"] is True


async def test_a_reply_that_breaks_off_ends_in_an_apology(dial: Dial) -> None:
    call = await dial({"says": "One two", "breaks_off": True})
    assert (await call.says("Count")).text == f"One two {words.APOLOGY}"


async def test_a_reply_that_breaks_off_is_remembered_with_the_apology(dial: Dial) -> None:
    call = await dial({"hears": "Count", "says": "One two", "breaks_off": True}, {"hears": "", "says": "Yes."})
    await call.says("Count")
    await call.says("Again")
    assert said(call) == [f"One two {words.APOLOGY}"]


@pytest.mark.parametrize("rule", [{"fails": True}, {"hangs": True}], ids=["error", "no answer"])
async def test_the_second_model_answers_when_the_first_does_not(dial: Dial, rule: dict[str, Any]) -> None:
    call = await dial(rule, fallback=[{"says": "From the second."}], deadline=0.1)
    turn = await call.says("Hello")
    assert turn.text.removeprefix(f"{words.HOLD} ") == "From the second."
    assert turn.total is not None and turn.total < IN_TIME


async def test_a_silent_model_is_given_up_at_the_deadline_and_not_later(dial: Dial) -> None:
    call = await dial({"hangs": True}, fallback=[{"says": "Yes."}], deadline=0.3)
    turn = await call.says("Hello")
    assert turn.total is not None and 300 <= turn.total < 1100


async def test_the_caller_hears_an_apology_when_both_models_are_down(dial: Dial) -> None:
    call = await dial({"fails": True}, fallback=[{"fails": True}])
    assert (await call.says("Hello")).text == words.APOLOGY


async def test_nothing_is_said_twice_when_the_first_model_breaks_off(dial: Dial) -> None:
    call = await dial({"says": "One two", "breaks_off": True}, fallback=[{"says": "One two three."}])
    assert (await call.says("Count")).text.count("One") == 1


async def test_a_tool_runs_once_when_the_first_model_fails_after_it(dial: Dial) -> None:
    ran: list[str] = []

    def book(order: str) -> str:
        ran.append(order)
        return "booked"

    async def fails_after_the_tool(
        messages: list[m.ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        if last_exchange(messages)[1]:
            raise ModelDown
        yield tool_calls({"book": {"order": "4711"}})

    models = [played(FunctionModel(stream_function=fails_after_the_tool)), *second_model("It is {result}.")]
    call = await dial(models=models, tools=[book])
    turn = await call.says("Book 4711")
    assert (ran, turn.text) == (["4711"], "It is booked.")


def second_model(then: str) -> list[Any]:
    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield then.replace("{result}", " ".join(last_exchange(messages)[1]))

    return [played(FunctionModel(stream_function=stream))]


def find(function: str, limit: int) -> str:
    """Look something up. Its arguments are called what the app may call its own."""
    return f"{limit} of {function}"


async def later(function: str, limit: int) -> str:
    """Look something up."""
    return find(function, limit)


@pytest.mark.parametrize("tool", [find, later])
async def test_a_tool_gets_its_arguments_whatever_they_are_called(dial: Dial, tool: Callable[..., Any]) -> None:
    call = await dial({"calls": {tool.__name__: {"function": "brakes", "limit": 2}}, "then": "{result}"}, tools=[tool])
    assert (await call.says("Find brakes")).text == "2 of brakes"


def breaks() -> str:
    """Look something up."""
    raise RuntimeError("the password is swordfish")


async def breaks_later() -> str:
    """Look something up."""
    await asyncio.sleep(0)
    raise RuntimeError("the password is swordfish")


@pytest.mark.parametrize("tool", [breaks, breaks_later])
async def test_a_tool_that_raises_is_reported_to_the_model_as_a_sentence(dial: Dial, tool: Callable[..., Any]) -> None:
    call = await dial({"calls": {tool.__name__: {}}, "then": "It said: {result}"}, tools=[tool])
    turn = await call.says("Look it up")
    assert turn.text.startswith("It said: The tool failed (RuntimeError).")


@pytest.mark.parametrize("tool", [breaks, breaks_later])
async def test_what_a_tool_raises_is_neither_spoken_nor_logged(
    dial: Dial, logged: Callable[[], str], tool: Callable[..., Any]
) -> None:
    call = await dial({"calls": {tool.__name__: {}}}, tools=[tool])
    turn = await call.says("Look it up")
    log = logged()
    assert "tool.failed" in log and tool.__name__ in log
    assert "swordfish" not in turn.text + log


async def test_a_model_error_is_logged_without_its_text(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial({"fails": True})
    await call.says("Hello")
    log = logged()
    assert "model.failed" in log and "ModelDown" in log
    assert "scripted failure" not in log


async def test_a_tool_that_hangs_is_held_for_and_then_given_up(dial: Dial) -> None:
    async def hang() -> str:
        """Look something up."""
        await asyncio.Event().wait()
        return "never"

    call = await dial({"calls": {"hang": {}}, "then": "Sorry, that did not work."}, tools=[hang], deadline=0.3)
    turn = await call.says("Look it up")
    assert turn.text == f"{words.HOLD} Sorry, that did not work."
    assert turn.total is not None and turn.total < IN_TIME


async def test_a_slow_tool_is_waited_for(dial: Dial) -> None:
    async def slow() -> str:
        """Look something up."""
        await asyncio.sleep(0.3)
        return "found"

    call = await dial({"calls": {"slow": {}}}, tools=[slow], deadline=0.2)
    assert (await call.says("Look it up")).text == f"{words.HOLD} found"


async def test_to_hold_is_not_to_answer(dial: Dial) -> None:
    async def slow() -> str:
        """Look something up."""
        await asyncio.sleep(0.3)
        return "found"

    call = await dial({"calls": {"slow": {}}, "then": " "}, tools=[slow], deadline=0.2)
    turn = await call.says("Look it up")
    assert turn.text.startswith(words.HOLD) and turn.text.endswith(words.APOLOGY)


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
    monkeypatch.delattr(words, "GREETING")
    monkeypatch.delattr(Calls, "end")
    answer = await web.post(path, {"CallSid": "CA1", "CallStatus": "in-progress"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
    assert twiml.read(answer.text).said == words.UNAVAILABLE


async def test_a_defect_in_a_turn_ends_in_an_apology(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    call = await dial({"says": "Yes."})
    monkeypatch.delattr(call.session, "now")
    assert (await call.says("Hello")).text == words.APOLOGY


def said(call: Call) -> list[str]:
    """What the agent has said, according to the history."""
    parts = [part for message in call.session.history for part in message.parts]
    return [part.content for part in parts if isinstance(part, m.TextPart)]


def outcomes(call: Call) -> list[str]:
    """What tools have returned, according to the history."""
    parts = [part for message in call.session.history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, m.ToolReturnPart)]
