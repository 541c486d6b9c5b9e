"""The scenarios of the server, and a reply in time when a model or a tool fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from app.brain import Brain
from app.capability import Services
from app.runtimes import Runtime
from app.session import Session
from app.store import InProcess
from app.turn import Turn
from kit import defaults
from kit.conventions import build_model, scenario_files
from kit.plugin import Begin
from kit.scenario import play
from kit.scenario_file import load as load_scenario
from kit.scripted_model import ModelDown, last_exchange, scripted, tool_calls


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: f"{path.parents[1].name}-{path.stem}")
async def test_scenario_of_the_server(path: Path) -> None:
    assert load_scenario(path).given.has_sample_tools  # agent/tools.py may have others
    assert (await play(path)).failures == []


BROKEN = {
    "an error": {"fails": True},
    "an empty answer": {"says": ""},
    "a blank answer": {"says": "  \n "},
}


@pytest.mark.parametrize("rule", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_model_is_apologised_for_and_the_next_turn_works(begin: Begin, rule: dict[str, Any]) -> None:
    talk = await begin({"hears": "first", **rule}, {"hears": "second", "says": "Yes."})
    assert talk.apology in (await talk.says("first")).text
    assert (await talk.says("second")).text.endswith("Yes.")


async def test_a_reply_that_breaks_off_ends_in_an_apology_and_is_remembered_with_it(begin: Begin) -> None:
    talk = await begin({"hears": "Count", "says": "One two", "breaks_off": True}, {"hears": "", "says": "Yes."})
    assert (await talk.says("Count")).text == f"One two {talk.apology}"
    await talk.says("Again")
    assert f"One two {talk.apology}".lower() in await talk.history_text()


# An only model may be left to the brain, which waits for five deadlines. Only `advance_clock` makes these seconds pass.
@pytest.mark.parametrize(("second", "deadline", "deadlines"), [("From the second.", 10.0, 1), (None, 4.0, 6)])
async def test_a_silent_model_is_given_up_at_the_deadline(
    begin: Begin, advance_clock: Callable[[float], None], second: str | None, deadline: float, deadlines: int
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
        advance_clock(deadline)
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


class SilentRuntime(Runtime):
    """Yields `tokens`, then nothing for ever."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens

    build = model_names = missing_env = None  # type: ignore[assignment]

    async def answer(self, session: Session, turn: Turn, instructions: str, tools: Any) -> AsyncGenerator[str]:
        for token in self.tokens:
            yield token
        await asyncio.Event().wait()


HOLD = "One moment."
SCHEDULES = {  # of a model with a deadline of 5 seconds: the second at which each token of the reply comes
    "silent": ((), HOLD, [(5.0, "One moment. "), (25.0, " Sorry.")]),
    "silent in a text conversation": ((), "", [(20.0, "Sorry.")]),
    "silent after two": (("1 ", "2 "), HOLD, [(0.0, "1 "), (0.0, "2 "), (5.0, "One moment. "), (25.0, " Sorry.")]),
}


@pytest.mark.virtual_time
@pytest.mark.parametrize(("tokens", "hold", "schedule"), SCHEDULES.values(), ids=SCHEDULES.keys())
async def test_a_model_that_is_silent_gets_hold_and_then_an_apology(
    tokens: Any, hold: str, schedule: list[tuple[float, str]]
) -> None:
    services = Services(defaults.settings(), InProcess(), lambda: datetime.now(UTC))
    session = Session("CA1", "", "", "en-US", services.now)
    session.connection.hold, session.connection.apology = hold, "Sorry."
    reply = Brain(SilentRuntime(*tokens), "Be brief.", [], services, deadline=5.0).reply(session, "Hello")
    assert [(asyncio.get_running_loop().time(), token) async for token in reply] == schedule
