"""A second model answers when the first one gives nothing that could be said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from kit.conventions import build_model
from kit.scripted_model import ModelDown, last_exchange, scripted, tool_calls
from kit.testing import Begin

FAILURES: dict[str, dict[str, Any]] = {
    "an error": {"fails": True},
    "an empty answer": {"says": ""},
    "no word": {"says": " \n"},
}


@pytest.mark.parametrize("rule", FAILURES.values(), ids=FAILURES.keys())
async def test_the_second_model_answers(begin: Begin, rule: dict[str, Any]) -> None:
    talk = await begin(rule, fallback=[{"says": "From the second."}])
    assert (await talk.says("Hello")).text.strip() == "From the second."


@pytest.mark.parametrize("then", [" ", "\n "])
async def test_blank_words_are_no_answer(begin: Begin, then: str) -> None:
    talk = await begin({"hears": "first", "says": then}, {"says": "Yes."})
    assert talk.apology in (await talk.says("first")).text
    assert (await talk.says("second")).text == "Yes."


async def test_an_empty_answer_after_words_and_a_tool_is_none_to_apologise_for(begin: Begin) -> None:
    def note() -> str:
        """Note it."""
        return "noted"

    talk = await begin({"says": "Noted. ", "calls": {"note": {}}, "then": ""}, fallback=[{"says": "No."}], tools=[note])
    assert (await talk.says("Note it")).text.strip() == "Noted."


# An only model may be left to the brain, which waits for five deadlines. Only `let_time_pass` makes these seconds pass.
@pytest.mark.parametrize(("second", "deadline", "deadlines"), [("From the second.", 10.0, 1), (None, 4.0, 6)])
async def test_a_silent_model_is_given_up_at_the_deadline(
    begin: Begin, let_time_pass: Callable[[float], Awaitable[None]], second: str | None, deadline: float, deadlines: int
) -> None:
    asked = asyncio.Event()

    async def silent(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        asked.set()
        if last_exchange(messages)[0] == "first":
            await asyncio.Event().wait()
        yield "Yes."

    others = [scripted({"says": second})] if second else []
    talk = await begin(models=[build_model(FunctionModel(stream_function=silent)), *others], deadline=deadline)
    reply = asyncio.create_task(talk.says("first"))
    await asked.wait()
    for _ in range(deadlines):
        await let_time_pass(deadline)
        await asyncio.sleep(0.01)
    assert (await reply).text.endswith(second or talk.apology)
    assert (await talk.says("second")).text.endswith("Yes.")


@pytest.mark.parametrize("second", [{"says": "Yes."}, {"fails": True}], ids=["second model", "apology"])
async def test_the_second_model_answers_when_the_first_fails(begin: Begin, second: dict[str, Any]) -> None:
    talk = await begin({"fails": True}, fallback=[second])
    assert (await talk.says("Hello")).text == second.get("says", talk.apology)


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

    async def repeats_the_result(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield f"It is {' '.join(last_exchange(messages)[1])}."

    models = [build_model(FunctionModel(stream_function=each)) for each in (fails_after_the_tool, repeats_the_result)]
    talk = await begin(models=models, tools=[book])
    reply = await talk.says("Book 4711")
    assert (ran, reply.text) == (["4711"], "It is booked.")


async def test_a_model_error_is_logged_without_its_text(begin: Begin, logged: Callable[[], str]) -> None:
    talk = await begin({"fails": True})
    await talk.says("Hello")
    log = logged()
    assert "model.failed" in log and "ModelDown" in log
    assert "scripted failure" not in log
