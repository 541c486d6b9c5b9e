"""A model or a tool that fails: the other party gets words, in time, and never the reason."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from app.brain import Brain
from app.capability import Services
from app.runtime import Runtime
from app.session import Session
from app.store import InProcess
from app.turn import Turn
from kit import defaults
from kit.conventions import played
from kit.plugin import Begin
from kit.scripted_model import ModelDown, last_exchange, tool_calls
from kit.virtual_time import run

BROKEN = {
    "an error": {"fails": True},
    "no answer": {"hangs": True},
    "an empty answer": {"says": ""},
    "a blank answer": {"says": "  \n "},
}


@pytest.mark.parametrize("rule", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_model_is_apologised_for(begin: Begin, rule: dict[str, Any]) -> None:
    talk = await begin(rule, deadline=0.1)
    assert talk.apology in (await talk.says("Hello")).text


@pytest.mark.parametrize("rule", BROKEN.values(), ids=BROKEN.keys())
async def test_the_turn_after_a_broken_one_works(begin: Begin, rule: dict[str, Any]) -> None:
    talk = await begin({"hears": "first", **rule}, {"hears": "second", "says": "Yes."}, deadline=0.3)
    await talk.says("first")
    assert (await talk.says("second")).text.endswith("Yes.")


async def test_a_reply_that_breaks_off_ends_in_an_apology(begin: Begin) -> None:
    talk = await begin({"says": "One two", "breaks_off": True})
    assert (await talk.says("Count")).text == f"One two {talk.apology}"


async def test_a_reply_that_breaks_off_is_remembered_with_the_apology(begin: Begin) -> None:
    talk = await begin({"hears": "Count", "says": "One two", "breaks_off": True}, {"hears": "", "says": "Yes."})
    await talk.says("Count")
    await talk.says("Again")
    assert f"One two {talk.apology}".lower() in await talk.heard()


@pytest.mark.parametrize("rule", [{"fails": True}, {"hangs": True}], ids=["error", "no answer"])
async def test_the_second_model_answers_when_the_first_does_not(begin: Begin, rule: dict[str, Any]) -> None:
    talk = await begin(rule, fallback=[{"says": "From the second."}], deadline=0.1)
    reply = await talk.says("Hello")
    assert reply.text.endswith("From the second.") and talk.apology not in reply.text


async def test_there_is_an_apology_when_both_models_are_down(begin: Begin) -> None:
    talk = await begin({"fails": True}, fallback=[{"fails": True}])
    assert (await talk.says("Hello")).text == talk.apology


async def test_nothing_is_said_twice_when_the_first_model_breaks_off(begin: Begin) -> None:
    talk = await begin({"says": "One two", "breaks_off": True}, fallback=[{"says": "One two three."}])
    assert (await talk.says("Count")).text.count("One") == 1


async def test_a_tool_runs_once_when_the_first_model_fails_after_it(begin: Begin) -> None:
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
    talk = await begin(models=models, tools=[book])
    reply = await talk.says("Book 4711")
    assert (ran, reply.text) == (["4711"], "It is booked.")


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
async def test_a_tool_gets_its_arguments_whatever_they_are_called(begin: Begin, tool: Callable[..., Any]) -> None:
    talk = await begin({"calls": {tool.__name__: {"function": "brakes", "limit": 2}}, "then": "{result}"}, tools=[tool])
    assert (await talk.says("Find brakes")).text == "2 of brakes"


def breaks() -> str:
    """Look something up."""
    raise RuntimeError("the password is swordfish")


async def breaks_later() -> str:
    """Look something up."""
    await asyncio.sleep(0)
    raise RuntimeError("the password is swordfish")


@pytest.mark.parametrize("tool", [breaks, breaks_later])
async def test_a_tool_that_raises_is_reported_to_the_model_as_a_sentence(
    begin: Begin, tool: Callable[..., Any]
) -> None:
    talk = await begin({"calls": {tool.__name__: {}}, "then": "It said: {result}"}, tools=[tool])
    reply = await talk.says("Look it up")
    assert reply.text.startswith("It said: The tool failed (RuntimeError).")


@pytest.mark.parametrize("tool", [breaks, breaks_later])
async def test_what_a_tool_raises_is_neither_spoken_nor_logged(
    begin: Begin, logged: Callable[[], str], tool: Callable[..., Any]
) -> None:
    talk = await begin({"calls": {tool.__name__: {}}}, tools=[tool])
    reply = await talk.says("Look it up")
    log = logged()
    assert "tool.failed" in log and tool.__name__ in log
    assert "swordfish" not in reply.text + log


def something() -> Any:
    """Look something up."""
    return object()


async def test_a_tool_that_returns_what_nobody_can_read_costs_no_later_turn(begin: Begin) -> None:
    talk = await begin(
        {"hears": "look", "calls": {"something": {}}, "then": "It said: {result}"}, {"says": "Yes."}, tools=[something]
    )
    assert (await talk.says("Look it up")).text.startswith("It said: The tool failed (")
    assert (await talk.says("Hello")).text == "Yes."


async def test_a_model_error_is_logged_without_its_text(begin: Begin, logged: Callable[[], str]) -> None:
    talk = await begin({"fails": True})
    await talk.says("Hello")
    log = logged()
    assert "model.failed" in log and "ModelDown" in log
    assert "scripted failure" not in log


# --- deadlines, in virtual time -----------------------------------------------------------------------------------


class Hanging(Runtime):
    """Yields `tokens`, then nothing for ever."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens

    build = model_names = missing_env = None  # type: ignore[assignment]

    async def answer(self, session: Session, turn: Turn, instructions: str, tools: Any) -> AsyncGenerator[str]:
        for token in self.tokens:
            yield token
        await asyncio.Event().wait()


def timed(runtime: Runtime, hold: str) -> list[tuple[float, str]]:
    """The tokens of a turn, each with the second at which it came. The deadline is 5 seconds."""

    async def listen() -> list[tuple[float, str]]:
        clock = asyncio.get_running_loop().time
        services = Services(defaults.settings(), InProcess(), lambda: datetime.now(UTC))
        session = Session("CA1", "", "", "en-US", services.now)
        session.connection.hold, session.connection.apology = hold, "Sorry."
        tokens = Brain(runtime, "Be brief.", [], services, deadline=5.0).reply(session, "Hello")
        return [(clock(), token) async for token in tokens]

    return run(listen())


def test_a_silent_model_gets_a_filler_at_the_deadline_and_an_apology_after_four_more() -> None:
    assert timed(Hanging(), "One moment.") == [(5.0, "One moment. "), (25.0, " Sorry.")]


def test_in_writing_there_is_no_filler() -> None:
    assert timed(Hanging(), "") == [(20.0, "Sorry.")]


def test_a_model_that_stops_in_the_middle_is_given_up() -> None:
    assert timed(Hanging("One ", "two "), "One moment.")[:2] == [(0.0, "One "), (0.0, "two ")]
    assert timed(Hanging("One ", "two "), "One moment.")[2:] == [(5.0, "One moment. "), (25.0, " Sorry.")]
