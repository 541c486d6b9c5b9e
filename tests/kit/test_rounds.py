"""The limits of one turn: requests to a model, time in all, wrong tool calls, tools that block a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from app import Session, this_session
from app.brain import Brain
from app.capability import Services
from app.runtimes import MAX_ROUNDS, ModelFailed, Runtime, start_round
from app.store import InProcess
from app.turn import Turn
from kit import defaults
from kit.activity import wait_until
from kit.conventions import build_model
from kit.scripted_model import last_exchange, tool_calls
from kit.testing import Begin

MANY = 45  # more than a pool of asyncio or of anyio has threads


def look_up(order: int) -> str:
    """Look an order up."""
    return "not ready yet"


CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "a call that works": ("look_up", {"order": 1}),
    "wrong arguments": ("look_up", {"order": "first"}),
    "no arguments": ("look_up", {}),
    "an unknown tool": ("look_down", {"order": 1}),
}


def loops(says: str, tool: str, arguments: dict[str, Any], requests: list[str]) -> Any:
    """A model that calls the tool for ever, until the next user text."""

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        text, _ = last_exchange(messages)
        requests.append(text)
        if text != "first":
            yield "Yes."
            return
        if says:
            yield says
        yield tool_calls({tool: arguments})

    return build_model(FunctionModel(stream_function=stream))


@pytest.mark.parametrize(("tool", "arguments"), CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("says", ["", "Let me check. "])
async def test_a_model_that_calls_tools_for_ever_ends_in_an_apology(
    begin: Begin, says: str, tool: str, arguments: dict[str, Any]
) -> None:
    requests: list[str] = []
    talk = await begin(models=[loops(says, tool, arguments, requests)], tools=[look_up], deadline=30.0)
    reply = await talk.says("first")
    assert reply.text.endswith(talk.apology)
    assert 3 <= len(requests) <= MAX_ROUNDS
    assert (await talk.says("second")).text == "Yes."


@pytest.mark.parametrize(("tool", "arguments"), list(CALLS.values())[1:], ids=list(CALLS)[1:])
async def test_several_wrong_calls_are_told_to_the_model(begin: Begin, tool: str, arguments: dict[str, Any]) -> None:
    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        _, results = last_exchange(messages)
        if len(results) == 5:
            yield "At last: " + results[-1]
        else:
            yield tool_calls({"look_up": {"order": 4}} if len(results) == 4 else {tool: arguments})

    talk = await begin(models=[build_model(FunctionModel(stream_function=stream))], tools=[look_up])
    assert (await talk.says("Where is it?")).text == "At last: not ready yet"


async def test_tools_that_block_their_threads_stall_no_other(begin: Begin) -> None:
    released, blocked = threading.Event(), list[str]()

    def blocks() -> str:
        """Block a thread."""
        blocked.append(this_session().id)
        released.wait(60)
        return "done"

    def quick() -> str:
        """Return at once."""
        return "quick"

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        text, results = last_exchange(messages)
        if results:
            yield " ".join(results)
            return
        calls = [tool_calls({tool: {}}) for tool in text.split()]
        yield {number: call[1] for number, call in enumerate(calls, 1)}

    model = build_model(FunctionModel(stream_function=stream))
    stuck = await begin(models=[model], tools=[blocks], deadline=30.0)
    reply = asyncio.create_task(stuck.says("blocks " * MANY))
    try:
        await wait_until(lambda: len(blocked) == MANY, "some wait for a thread")
        assert len(set(blocked)) == 1
        talk = await begin(models=[model], tools=[quick], deadline=30.0)
        assert (await talk.says("quick")).text == "quick"
    finally:
        released.set()
    assert "done" in (await reply).text


class Chatty(Runtime):
    """Says a word each `pause` seconds, for ever; or requests a model again and again without a word."""

    build = model_names = missing_env = None  # type: ignore[assignment]

    def __init__(self, pause: float) -> None:
        self.pause = pause

    async def answer(self, session: Session, turn: Turn, instructions: str, tools: Any) -> AsyncGenerator[str]:
        turn.record = record = []
        while self.pause == 0:
            start_round(turn)
            record.append(m.ModelResponse([m.ToolCallPart("look_up")], run_id=turn.run_id))
            await asyncio.sleep(0)
        while True:
            await asyncio.sleep(self.pause)
            yield "word "


def begun(runtime: Runtime) -> tuple[Brain, Session]:
    """A brain with a deadline of 5 seconds, and a session of it that hears "Sorry." as an apology."""
    services = Services(defaults.settings(), InProcess(), lambda: datetime.now(UTC))
    session = Session("CA1", "", "", "en-US", services.now)
    session.connection.apology = "Sorry."
    return Brain(runtime, "Be brief.", [], services, deadline=5.0), session


class Refusing(Chatty):
    """Fails after `pause` seconds, without a word."""

    asked = 0

    async def answer(self, session: Session, turn: Turn, instructions: str, tools: Any) -> AsyncGenerator[str]:
        self.asked += 1
        await asyncio.sleep(self.pause)
        raise ModelFailed("refused")
        yield ""


@pytest.mark.virtual_time
@pytest.mark.parametrize(("pause", "again"), [(0.0, True), (2.4, True), (2.6, False), (4.0, False)])
async def test_only_a_refusal_in_half_of_the_deadline_leaves_time_to_ask_again(pause: float, again: bool) -> None:
    runtime = Refusing(pause)
    brain, session = begun(runtime)
    session.history = [m.ModelRequest.user_text_prompt("Hello"), m.ModelResponse([m.TextPart("Yes.")])]
    async for _ in brain.reply(session, "And now?"):
        pass
    assert (runtime.asked > 1) is again


class Prompt(Chatty):
    """Has answered before anyone listens."""

    async def answer(self, session: Session, turn: Turn, instructions: str, tools: Any) -> AsyncGenerator[str]:
        turn.record = [m.ModelResponse([m.TextPart("one two three ")], run_id=turn.run_id)]
        for word in ("one ", "two ", "three "):
            yield word


@pytest.mark.virtual_time
async def test_a_reply_that_is_complete_is_heard_whole_however_slow_the_line_is() -> None:
    brain, session = begun(Prompt(0))
    heard = []
    async for token in brain.reply(session, "Hello"):
        heard.append(token)
        await asyncio.sleep(100)
    assert heard == ["one ", "two ", "three "]


@pytest.mark.virtual_time
@pytest.mark.parametrize(("pause", "seconds"), [(0, 0), (0.01, 60.0), (4.0, 60.0), (19.0, 60.0)])
async def test_a_turn_has_a_limit_of_time(pause: float, seconds: float) -> None:
    brain, session = begun(Chatty(pause))
    tokens = [token async for token in brain.reply(session, "Hello")]
    assert tokens[-1].strip() == "Sorry."
    assert asyncio.get_running_loop().time() == pytest.approx(seconds, abs=0.1)
    assert session.turn and session.turn.history()[-1].parts[0].content == "".join(tokens)  # type: ignore[union-attr]
