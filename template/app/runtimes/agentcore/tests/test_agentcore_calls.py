"""What a runtime in AgentCore must not do to a call: answer the last question, fall silent, or hold up the others."""

from __future__ import annotations

import ast
import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import strands
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection

from agent import phrases
from agent_runtime import main as deployed
from app.environment import SettingsError, load
from app.runtimes.agentcore import FRAME, AgentCore, Deployed, fragments, long_enough
from app.runtimes.agentcore.fake import ARN, Played
from app.runtimes.aws.scripted_strands import Played as Model
from app.session import Session
from kit import defaults
from kit.conventions import played
from kit.scripted_model import ModelDown, last_exchange, scripted, tool_calls
from kit.voice_fixtures import Dial

IN_STEP = [{"hears": str(number), "says": f"This is {number}."} for number in range(2, 6)]
LONG = {"hears": "everything", "says": "One two three four five six seven eight nine ten.", "word_delay": 0.02}


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


Talk = Callable[[WebSocket], Awaitable[None]]


def runtime(talk: Talk, deadline: float = 5.0) -> Played:
    """A runtime that was asked, and then does as `talk` wants."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await websocket.receive_text()
        await talk(websocket)

    return Played(app, deadline)


# --- the WebSocket --------------------------------------------------------------------------------------------------


async def test_the_turns_after_an_interruption_stay_in_step(dial: Dial) -> None:
    call = await dial(LONG, *IN_STEP)
    await call.begins("everything")
    await call.interrupts(after="two")
    await asyncio.sleep(0.1)  # the rest of the answer would be on its way
    assert [(await call.says(f"And {number}?")).text for number in (2, 3, 4)] == [
        "This is 2.",
        "This is 3.",
        "This is 4.",
    ]


async def test_new_words_without_an_interruption_stay_in_step_too(dial: Dial) -> None:
    call = await dial(LONG, *IN_STEP)
    await call.begins("everything")
    await call.hears("two")
    assert [(await call.says(f"And {number}?")).text for number in (2, 3)] == ["This is 2.", "This is 3."]


async def test_an_answer_that_was_not_heard_out_costs_its_socket(dial: Dial) -> None:
    model = scripted(LONG, *IN_STEP)
    call = await dial(models=[model])
    await call.begins("everything")
    await call.interrupts(after="two")
    await call.says("And 2?")
    await until(lambda: model.sockets[0].close_code)
    assert len(model.sockets) == 2 and model.sockets[1].close_code is None


async def test_a_call_has_one_socket_which_opens_before_anybody_speaks(dial: Dial) -> None:
    model = scripted(*IN_STEP, {"hears": "hello", "says": "Yes?"})
    call = await dial(models=[model])
    await until(lambda: model.sockets)
    for text in ("Hello", "2", "3"):
        await call.says(text)
    assert len(model.sockets) == 1
    assert model.door.sessions == [call.sid]


async def test_the_socket_closes_with_the_call(dial: Dial) -> None:
    model = scripted({"says": "Yes."})
    call = await dial(models=[model])
    await call.says("Hello")
    await call.hangs_up()
    await until(lambda: model.sockets[0].close_code)


async def test_a_socket_that_died_between_two_turns_costs_nothing(dial: Dial) -> None:
    model = scripted(*IN_STEP)
    call = await dial(models=[model])
    assert (await call.says("2")).text == "This is 2."
    await model.sockets[0].close()
    assert (await call.says("3")).text == "This is 3."


async def test_a_runtime_that_starts_slowly_is_ready_for_the_next_turn(
    dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, opened = scripted({"says": "Yes."}), list[str]()
    open_at_once = model.open

    async def open_slowly(session_id: str) -> ClientConnection:
        opened.append(session_id)
        await asyncio.sleep(0.6)
        connection: ClientConnection = await open_at_once(session_id)
        return connection

    monkeypatch.setattr(model, "open", open_slowly)
    call = await dial(models=[model], deadline=0.2)
    assert (await call.says("Hello")).text.endswith(phrases.APOLOGY)
    await until(lambda: model.sockets)
    assert (await call.says("Hello")).text == "Yes."
    assert opened == [call.sid]


async def test_a_long_conversation_gets_through_in_small_frames(dial: Dial) -> None:
    def read() -> str:
        """Read the terms."""
        return "ä" * 40_000

    model = scripted({"calls": {"read": {}}, "then": "That is all."})
    call = await dial(models=[model], tools=[read])
    assert (await call.says("Read the terms")).text == "That is all."
    assert len(model.sockets) == 1


def test_a_message_is_cut_and_not_changed() -> None:
    text = json.dumps({"text": "ä" * 30_000})
    assert "".join(fragments(text)) == text
    assert max(len(part.encode()) for part in fragments(text)) <= FRAME < 32 * 1024


def test_a_session_id_is_as_long_as_agentcore_wants_it() -> None:
    assert [len(long_enough(id)) for id in ("CA1", defaults.ACCOUNT_SID)] == [33, 34]


async def test_nobody_waits_while_credentials_are_fetched(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    model = scripted({"says": "Yes."})
    sign = model.client.generate_ws_connection

    def sign_slowly(*args: Any) -> Any:
        time.sleep(0.3)
        return sign(*args)

    monkeypatch.setattr(model.client, "generate_ws_connection", sign_slowly)
    assert await longest_pause(dial(models=[model])) < 0.2


async def longest_pause(work: Awaitable[Any]) -> float:
    """How long, in seconds, the loop did nothing else."""
    task = asyncio.ensure_future(work)
    longest, last = 0.0, time.monotonic()
    stop = last + 0.6
    while time.monotonic() < stop or not task.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    return longest


# --- failures -------------------------------------------------------------------------------------------------------


async def says_an_error(websocket: WebSocket) -> None:
    await websocket.send_text('{"type": "error", "reason": "ThrottlingException"}')
    await websocket.receive()


async def says_nonsense(websocket: WebSocket) -> None:
    await websocket.send_text('{"token": "a secret of the caller"}')
    await websocket.receive()


async def says_an_essay(websocket: WebSocket) -> None:
    await websocket.send_text('{"type": "error", "reason": "a secret of the caller"}')
    await websocket.receive()


async def goes_away(websocket: WebSocket) -> None:
    await websocket.close()


async def says_nothing(websocket: WebSocket) -> None:
    await websocket.receive()


BROKEN = [says_an_error, says_nonsense, says_an_essay, goes_away, says_nothing]


@pytest.mark.parametrize("talk", BROKEN)
async def test_a_broken_runtime_is_apologised_for_in_time(dial: Dial, logged: Callable[[], str], talk: Talk) -> None:
    call = await dial(models=[runtime(talk)], deadline=0.3)
    turn = await call.says("Hello")
    assert turn.text.removeprefix(phrases.HOLD).strip() == phrases.APOLOGY
    assert turn.total is not None and turn.total < 1500
    log = logged()
    assert "model.failed" in log and "secret" not in log


@pytest.mark.parametrize("talk", BROKEN)
async def test_the_second_runtime_answers_when_the_first_is_broken(dial: Dial, talk: Talk) -> None:
    call = await dial(models=[runtime(talk), scripted({"says": "Yes."})], deadline=0.5)
    assert (await call.says("Hello")).text.removeprefix(phrases.HOLD).strip() == "Yes."


async def test_what_broke_off_is_not_said_again_by_another(dial: Dial) -> None:
    async def breaks_off(websocket: WebSocket) -> None:
        await websocket.send_text('{"type": "text", "token": "One two"}')
        await websocket.close()

    call = await dial(models=[runtime(breaks_off), scripted({"says": "One two three."})])
    assert (await call.says("Count")).text == f"One two {phrases.APOLOGY}"


async def test_the_log_says_what_a_runtime_died_of(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial(models=[runtime(says_an_error)])
    await call.says("Hello")
    assert "ThrottlingException" in logged()


# --- HTTP -----------------------------------------------------------------------------------------------------------


async def test_http_serves_where_the_websocket_is_refused(dial: Dial, logged: Callable[[], str]) -> None:
    model = scripted({"hears": "look", "calls": {"look": {}}, "then": "It is {result}."}, *IN_STEP)
    model.door.closed = {"websocket"}
    call = await dial(models=[model], tools=[look])
    assert [(await call.says(text)).text for text in ("2", "look", "3")] == ["This is 2.", "It is here.", "This is 3."]
    assert model.sockets == [] and set(model.door.sessions) == {call.sid}
    assert "websocket.refused" in logged() and "InvalidStatus 403" in logged()


def look() -> str:
    """Look it up."""
    return "here"


async def test_words_over_http_come_as_they_are_said(dial: Dial) -> None:
    model = scripted({"hears": "everything", "says": "One two three.", "word_delay": 0.3}, *IN_STEP)
    model.door.closed = {"websocket"}
    call = await dial(models=[model])
    turn = await call.says("everything")
    assert turn.first and turn.total and turn.total - turn.first > 400


async def test_an_interruption_over_http_stays_in_step(dial: Dial) -> None:
    model = scripted(LONG, *IN_STEP)
    model.door.closed = {"websocket"}
    call = await dial(models=[model])
    await call.begins("everything")
    await call.interrupts(after="two")
    assert (await call.says("And 2?")).text == "This is 2."


async def test_who_lets_nobody_through_is_apologised_for(dial: Dial) -> None:
    model = scripted({"says": "Yes."})
    model.door.closed = {"websocket", "http"}
    call = await dial(models=[model], deadline=2.0)
    assert (await call.says("Hello")).text == phrases.APOLOGY


async def test_nobody_waits_while_http_does(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    model = scripted({"says": "Yes."})
    model.door.closed = {"websocket"}
    client = model.http

    def slowly() -> Any:
        time.sleep(0.3)
        return client()

    monkeypatch.setattr(model, "http", slowly)
    call = await dial(models=[model])
    assert await longest_pause(call.says("Hello")) < 0.2


# --- what runs in AgentCore -----------------------------------------------------------------------------------------


async def frames(payload: Any, rule: dict[str, Any]) -> list[dict[str, Any]]:
    scripts: list[FunctionModel] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kit.scripted_model.played", scripts.append)
        scripted(rule)
    return [frame async for frame in deployed.answer(payload, Model(scripts[0]))]


ASK = {
    "type": "ask",
    "version": 1,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
    "tools": [],
}


async def test_an_ask_is_answered_with_words_and_what_they_came_to() -> None:
    assert await frames(ASK, {"says": "Good day."}) == [
        {"type": "text", "token": "Good "},
        {"type": "text", "token": "day."},
        {
            "type": "message",
            "message": {"role": "assistant", "content": [{"text": "Good day."}]},
            "model": "scripted",
        },
        {"type": "done"},
    ]


@pytest.mark.parametrize("change", [{"version": 2}, {"type": "order"}, {"messages": "Hello"}])
async def test_an_ask_of_another_version_is_refused(change: dict[str, Any]) -> None:
    assert await frames(ASK | change, {"says": "Yes."}) == [{"type": "error", "reason": "ValidationError"}]


async def test_a_failure_is_told_by_its_class_alone() -> None:
    assert await frames(json.dumps(ASK), {"fails": True}) == [{"type": "error", "reason": "ModelDown"}]


async def test_the_runtime_prints_and_logs_no_word(
    dial: Dial, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    call = await dial({"says": "A secret of the caller.", "breaks_off": True})
    await call.says("My secret")
    log = "".join([*capfd.readouterr(), caplog.text])
    assert "secret" not in log and "scripted failure" not in log
    assert "an answer failed: ModelDown" in log


async def test_who_asks_again_has_no_use_for_the_last_answer() -> None:
    model = scripted(LONG, *IN_STEP)
    socket = await model.open("CA1")
    said = ""
    for text in ("everything", "2"):
        await socket.send(json.dumps(ASK | {"messages": [{"role": "user", "content": [{"text": text}]}]}))
        said += json.loads(await socket.recv()).get("token", "")
    await asyncio.sleep(0.3)
    await socket.send(json.dumps(ASK | {"version": 2}))
    while (frame := json.loads(await socket.recv()))["type"] != "error":
        said += frame.get("token", "")
    await socket.close()
    await model.close()
    assert "This is 2." in said and "ten" not in said


async def test_a_model_that_nobody_listens_to_is_stopped(dial: Dial) -> None:
    stopped = asyncio.Event()

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        yield "One "
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    call = await dial(models=[played(FunctionModel(stream_function=stream))])
    await call.begins("everything")
    await call.interrupts(after="One")
    async with asyncio.timeout(5):
        await stopped.wait()


def test_what_is_deployed_alone_needs_nothing_of_the_server() -> None:
    folder = Path(str(deployed.__file__)).parent
    for path in folder.glob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
        names |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert not {name.partition(".")[0] for name in names} & {"agent", "agent_runtime", "app", "kit"}


# --- tools ----------------------------------------------------------------------------------------------------------


def returned(messages: list[m.ModelMessage]) -> list[str]:
    return [str(part.content) for each in messages for part in each.parts if isinstance(part, m.ToolReturnPart)]


@pytest.fixture
def own_tool(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A tool that runs in AgentCore. Returns what it was asked."""
    asked: list[str] = []

    @strands.tool
    def weather(city: str) -> str:
        """Say how the weather is."""
        asked.append(city)
        return f"rain in {city}"

    monkeypatch.setattr(deployed, "TOOLS", [weather])
    return asked


async def test_a_tool_of_the_runtime_runs_there(dial: Dial, own_tool: list[str]) -> None:
    call = await dial({"calls": {"weather": {"city": "Bonn"}}, "then": "There is {result}."})
    turn = await call.says("How is the weather?")
    assert (turn.text, own_tool, turn.tools) == ("There is rain in Bonn.", ["Bonn"], ["weather"])


async def test_a_failure_after_a_tool_of_the_runtime_is_told_by_its_own_class(own_tool: list[str]) -> None:
    async def fails(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        if last_exchange(messages)[1]:
            raise ModelDown
        yield tool_calls({"weather": {"city": "Bonn"}})

    model = Model(FunctionModel(stream_function=fails))
    told = [frame async for frame in deployed.answer(ASK, model)]
    assert (own_tool, told[-1]) == (["Bonn"], {"type": "error", "reason": "ModelDown"})


async def test_tools_of_both_sides_may_be_called_in_one_breath(dial: Dial, own_tool: list[str]) -> None:
    rule = {"hears": "both", "calls": {"weather": {"city": "Bonn"}, "look": {}}, "then": "{result}"}
    call = await dial(rule, *IN_STEP, tools=[look])
    assert sorted((await call.says("both")).text.split()) == ["Bonn", "here", "in", "rain"]
    assert (await call.says("2")).text == "This is 2."
    assert sorted(returned(call.session.history)) == ["here", "rain in Bonn"]


async def test_a_tool_that_nobody_has_is_no_end(dial: Dial) -> None:
    call = await dial({"calls": {"fly": {}, "look": {}}, "then": "{result}"}, tools=[look])
    assert "here" in (await call.says("fly")).text


async def test_wrong_arguments_are_told_to_the_model(dial: Dial) -> None:
    def book(count: int) -> str:
        """Book seats."""
        return f"booked {count}"

    async def corrects(
        messages: list[m.ModelMessage], info: AgentInfo
    ) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        results = last_exchange(messages)[1]
        if len(results) == 2:
            yield f"{results[1]}."
        else:
            yield tool_calls({"book": {"count": 2 if results else "two"}})

    call = await dial(models=[played(FunctionModel(stream_function=corrects))], tools=[book])
    assert (await call.says("Two seats")).text == "booked 2."
    assert returned(list(call.session.turn.record))[0].startswith("Wrong arguments. count: Input should be")


async def test_blank_words_before_a_tool_are_not_sent_back(dial: Dial) -> None:
    call = await dial({"says": "  ", "calls": {"look": {}}, "then": "It is {result}."}, tools=[look])
    assert (await call.says("look")).text.strip() == "It is here."


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["BEDROCK_AGENTCORE_AGENT_ARN", "BEDROCK_AGENTCORE_FALLBACK_ARN"])
def test_what_is_no_arn_of_a_runtime_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "arn:aws:bedrock-agentcore:us-east-1:000000000000:memory/notes")
    with pytest.raises(SettingsError) as error:
        load(models_too=False)
    (problem,) = error.value.problems
    assert problem.startswith(f"{name} is ")


def test_a_missing_arn_is_named_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BEDROCK_AGENTCORE_AGENT_ARN")
    with pytest.raises(SettingsError) as error:
        load()
    assert sum(problem.startswith("BEDROCK_AGENTCORE_AGENT_ARN ") for problem in error.value.problems) == 1


def test_both_runtimes_are_asked_in_order_each_in_its_region() -> None:
    second = ARN.replace("us-east-1", "eu-central-1")
    runtimes = AgentCore.build(defaults.settings(fallback_arn=second)).runtimes
    assert [each.arn for each in runtimes] == [ARN, second]
    assert Deployed(second, 5.0).client.region == "eu-central-1"


async def test_a_call_that_comes_back_keeps_its_socket() -> None:
    model = scripted({"says": "Yes."})
    agentcore = AgentCore([model], 5.0)
    await agentcore.warm_up()
    session = Session("CA1", defaults.CALLER, defaults.CALLED, "en-US", now=lambda: datetime.now(UTC))
    agentcore.on_connect(session)
    await until(lambda: model.sockets)
    agentcore.on_connect(session)
    await asyncio.sleep(0.05)
    assert len(model.sockets) == 1
    await agentcore.close()
    assert model.sockets[0].close_code
