"""Calls with AgentCore: WebSockets, failures, HTTP, the protocol of agent_runtime/, tools and settings."""

from __future__ import annotations

import ast
import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
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

from agent_runtime import main as deployed
from app.environment import SettingsError, load
from app.runtimes import MAX_ROUNDS
from app.runtimes.agentcore import MAX_FRAME, AgentCore, DeployedRuntime, fragments, pad_session_id
from app.runtimes.agentcore.fake import ARN, ScriptedRuntime
from app.runtimes.aws.messages import bedrock_messages
from app.runtimes.aws.scripted_strands import ScriptedBedrock, reject_like_bedrock
from app.runtimes.tests.interruptions import DEADLINE, LIMIT, InterruptedTurns, event_loop_runs, until
from app.session import Session
from app.voice.phrases import phrases
from kit import defaults
from kit.conventions import build_model
from kit.scripted_model import ModelDown, last_exchange, scripted, tool_calls
from kit.voice_fixtures import Dial

NUMBERS = [{"hears": str(number), "says": f"This is {number}."} for number in range(2, 6)]
LONG = {"hears": "everything", "says": "One two three four five six seven eight nine ten.", "word_delay": 0.02}


Talk = Callable[[WebSocket], Awaitable[None]]


def runtime(talk: Talk, deadline: float = 5.0) -> ScriptedRuntime:
    """A runtime that reads a request and then runs `talk`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await websocket.receive_text()
        await talk(websocket)

    return ScriptedRuntime(app, deadline)


class TestInterruptedTurns(InterruptedTurns):
    def check(self, history: Sequence[m.ModelMessage]) -> None:
        reject_like_bedrock(bedrock_messages(history))


# --- the WebSocket --------------------------------------------------------------------------------------------------


async def test_the_turns_after_an_interruption_get_their_own_answers(dial: Dial) -> None:
    model = scripted(LONG, *NUMBERS)
    call = await dial(models=[model])
    await call.begins("everything")
    await call.interrupts(after="two")
    await until(lambda: model.sockets[0].close_code)  # its remaining tokens have arrived or never will
    assert [(await call.says(f"And {number}?")).text for number in (2, 3, 4)] == [
        "This is 2.",
        "This is 3.",
        "This is 4.",
    ]


async def test_the_turns_after_a_prompt_without_an_interruption_get_their_own_answers(dial: Dial) -> None:
    call = await dial(LONG, *NUMBERS)
    await call.begins("everything")
    await call.hears("two")
    assert [(await call.says(f"And {number}?")).text for number in (2, 3)] == ["This is 2.", "This is 3."]


async def test_the_websocket_of_an_interrupted_answer_is_replaced(dial: Dial) -> None:
    model = scripted(LONG, *NUMBERS)
    call = await dial(models=[model])
    await call.begins("everything")
    await call.interrupts(after="two")
    await call.says("And 2?")
    await until(lambda: model.sockets[0].close_code)
    assert len(model.sockets) == 2 and model.sockets[1].close_code is None


async def test_a_call_has_one_websocket_which_opens_before_the_first_turn(dial: Dial) -> None:
    model = scripted(*NUMBERS, {"hears": "hello", "says": "Yes?"})
    call = await dial(models=[model])
    await until(lambda: model.sockets)
    for text in ("Hello", "2", "3"):
        await call.says(text)
    assert len(model.sockets) == 1
    assert model.front_door.sessions == [call.sid]


async def test_the_websocket_closes_when_the_call_ends(dial: Dial) -> None:
    model = scripted({"says": "Yes."})
    call = await dial(models=[model])
    await call.says("Hello")
    await call.hangs_up()
    await until(lambda: model.sockets[0].close_code)


async def test_a_websocket_that_closes_between_two_turns_is_replaced(dial: Dial) -> None:
    model = scripted(*NUMBERS)
    call = await dial(models=[model])
    assert (await call.says("2")).text == "This is 2."
    await model.sockets[0].close()
    assert (await call.says("3")).text == "This is 3."


async def test_a_websocket_that_opens_slowly_is_used_in_the_next_turn(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, let_time_pass: Callable[[float], Awaitable[None]]
) -> None:
    model, opened = scripted({"says": "Yes."}), list[str]()
    open_at_once, accepts = model.open, asyncio.Event()

    async def open_slowly(session_id: str) -> ClientConnection:
        opened.append(session_id)
        await accepts.wait()
        connection: ClientConnection = await open_at_once(session_id)
        return connection

    monkeypatch.setattr(model, "open", open_slowly)
    call = await dial(models=[model], deadline=DEADLINE)
    turn = await call.begins("Hello")
    await until(lambda: call.session.turn and call.session.turn.record)
    await let_time_pass(DEADLINE)
    assert (await call.hears_reply(turn)).text.split() == f"{phrases.HOLD} {phrases.APOLOGY}".split()
    accepts.set()
    await until(lambda: model.sockets)
    assert (await call.says("Hello")).text == "Yes."
    assert opened == [call.sid]


async def test_a_long_conversation_is_sent_in_small_frames(dial: Dial) -> None:
    def read() -> str:
        """Read the terms."""
        return "ä" * 40_000

    model = scripted({"calls": {"read": {}}, "then": "That is all."})
    call = await dial(models=[model], tools=[read])
    assert (await call.says("Read the terms")).text == "That is all."
    assert len(model.sockets) == 1


def test_a_message_is_split_without_changes() -> None:
    text = json.dumps({"text": "ä" * 30_000})
    assert "".join(fragments(text)) == text
    assert max(len(part.encode()) for part in fragments(text)) <= MAX_FRAME < 32 * 1024


def test_a_session_id_has_the_length_that_agentcore_requires() -> None:
    assert [len(pad_session_id(id)) for id in ("CA1", defaults.ACCOUNT_SID)] == [33, 34]


async def test_credentials_are_fetched_in_a_thread(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    model = scripted({"says": "Yes."})
    sign, loop = model.client.generate_ws_connection, asyncio.get_running_loop()
    runs: list[bool] = []

    def sign_slowly(*args: Any) -> Any:
        runs.append(event_loop_runs(loop))
        return sign(*args)

    monkeypatch.setattr(model.client, "generate_ws_connection", sign_slowly)
    call = await dial(models=[model])
    assert (await call.says("Hello")).text == "Yes."
    assert runs == [True]


# --- failures -------------------------------------------------------------------------------------------------------


async def reports_an_error(websocket: WebSocket) -> None:
    await websocket.send_text('{"type": "error", "reason": "ThrottlingException"}')
    await websocket.receive()


async def sends_an_unknown_frame(websocket: WebSocket) -> None:
    await websocket.send_text('{"token": "a secret of the caller"}')
    await websocket.receive()


async def sends_an_invalid_reason(websocket: WebSocket) -> None:
    await websocket.send_text('{"type": "error", "reason": "a secret of the caller"}')
    await websocket.receive()


async def disconnects(websocket: WebSocket) -> None:
    await websocket.close()


FAILURES = [reports_an_error, sends_an_unknown_frame, sends_an_invalid_reason, disconnects]


@pytest.mark.parametrize("talk", FAILURES)
async def test_a_failure_of_the_runtime_ends_in_an_apology(dial: Dial, logged: Callable[[], str], talk: Talk) -> None:
    call = await dial(models=[runtime(talk)], deadline=DEADLINE)
    assert (await call.says("Hello")).text == phrases.APOLOGY
    log = logged()
    assert "model.failed" in log and "secret" not in log


@pytest.mark.parametrize("talk", FAILURES)
async def test_the_second_runtime_answers_when_the_first_fails(dial: Dial, talk: Talk) -> None:
    call = await dial(models=[runtime(talk), scripted({"says": "Yes."})], deadline=DEADLINE)
    assert (await call.says("Hello")).text == "Yes."


@pytest.mark.parametrize("second", ["Yes.", None])
async def test_a_silent_runtime_is_given_up_at_the_deadline(
    dial: Dial, logged: Callable[[], str], let_time_pass: Callable[[float], Awaitable[None]], second: str | None
) -> None:
    asked = asyncio.Event()

    async def stays_silent(websocket: WebSocket) -> None:
        asked.set()
        await websocket.receive()

    others = [scripted({"says": second})] if second else []
    call = await dial(models=[runtime(stays_silent), *others], deadline=DEADLINE)
    turn = await call.begins("Hello")
    await asked.wait()
    await let_time_pass(DEADLINE)
    assert (await call.hears_reply(turn)).text.split() == f"{phrases.HOLD} {second or phrases.APOLOGY}".split()
    assert "model.failed" in logged()


async def test_a_runtime_that_breaks_off_is_not_replaced(dial: Dial) -> None:
    async def breaks_off(websocket: WebSocket) -> None:
        await websocket.send_text('{"type": "text", "token": "One two"}')
        await websocket.close()

    call = await dial(models=[runtime(breaks_off), scripted({"says": "One two three."})])
    assert (await call.says("Count")).text == f"One two {phrases.APOLOGY}"


async def test_the_log_has_the_error_of_a_runtime(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial(models=[runtime(reports_an_error)])
    await call.says("Hello")
    assert "ThrottlingException" in logged()


# --- HTTP -----------------------------------------------------------------------------------------------------------


async def test_http_is_used_when_the_websocket_is_refused(dial: Dial, logged: Callable[[], str]) -> None:
    model = scripted({"hears": "look", "calls": {"look": {}}, "then": "It is {result}."}, *NUMBERS)
    model.front_door.closed = {"websocket"}
    call = await dial(models=[model], tools=[look])
    assert [(await call.says(text)).text for text in ("2", "look", "3")] == ["This is 2.", "It is here.", "This is 3."]
    assert model.sockets == [] and set(model.front_door.sessions) == {call.sid}
    assert "websocket.refused" in logged() and "InvalidStatus 403" in logged()


def look() -> str:
    """Look it up."""
    return "here"


async def test_tokens_over_http_are_sent_as_they_arrive(dial: Dial) -> None:
    more = threading.Event()  # AgentCore's library answers HTTP on an event loop of its own

    async def script(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        for token in ("One ", "two "):
            yield token
        await asyncio.to_thread(more.wait, LIMIT)
        yield "three."

    model = build_model(FunctionModel(stream_function=script))
    model.front_door.closed = {"websocket"}
    call = await dial(models=[model])
    turn = await call.begins("Count")
    await call.hears("One")
    more.set()
    assert (await call.hears_reply(turn)).text == "One two three."


async def test_the_turn_after_an_interruption_over_http_gets_its_own_answer(dial: Dial) -> None:
    model = scripted(LONG, *NUMBERS)
    model.front_door.closed = {"websocket"}
    call = await dial(models=[model])
    await call.begins("everything")
    await call.interrupts(after="two")
    assert (await call.says("And 2?")).text == "This is 2."


async def test_a_runtime_that_refuses_every_request_ends_in_an_apology(dial: Dial) -> None:
    model = scripted({"says": "Yes."})
    model.front_door.closed = {"websocket", "http"}
    call = await dial(models=[model], deadline=DEADLINE)
    assert (await call.says("Hello")).text == phrases.APOLOGY


async def test_requests_over_http_are_sent_in_a_thread(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    model = scripted({"says": "Yes."})
    model.front_door.closed = {"websocket"}
    client, loop = model.http, asyncio.get_running_loop()
    runs: list[bool] = []

    def slowly() -> Any:
        runs.append(event_loop_runs(loop))
        return client()

    monkeypatch.setattr(model, "http", slowly)
    call = await dial(models=[model])
    assert (await call.says("Hello")).text == "Yes."
    assert runs == [True]


# --- agent_runtime/ -------------------------------------------------------------------------------------------------


async def frames(payload: Any, rule: dict[str, Any]) -> list[dict[str, Any]]:
    scripts: list[FunctionModel] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kit.scripted_model.build_model", scripts.append)
        scripted(rule)
    return [frame async for frame in deployed.answer(payload, ScriptedBedrock(scripts[0]))]


ASK = {
    "type": "ask",
    "version": 1,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
    "tools": [],
}


async def test_a_request_is_answered_with_tokens_and_their_message() -> None:
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
async def test_a_request_of_another_version_is_refused(change: dict[str, Any]) -> None:
    assert await frames(ASK | change, {"says": "Yes."}) == [{"type": "error", "reason": "ValidationError"}]


async def test_a_failure_is_reported_by_its_class_alone() -> None:
    assert await frames(json.dumps(ASK), {"fails": True}) == [{"type": "error", "reason": "ModelDown"}]


async def test_the_runtime_prints_and_logs_nothing_of_the_conversation(
    dial: Dial, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    call = await dial({"says": "A secret of the caller.", "breaks_off": True})
    await call.says("My secret")
    log = "".join([*capfd.readouterr(), caplog.text])
    assert "secret" not in log and "scripted failure" not in log
    assert "an answer failed: ModelDown" in log


async def test_a_second_request_cancels_the_answer_to_the_first() -> None:
    cancelled = asyncio.Event()

    async def script(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        if last_exchange(messages)[0] == "first":
            try:
                yield "One "
                await asyncio.Event().wait()
            finally:
                cancelled.set()
        yield "Two."

    model = build_model(FunctionModel(stream_function=script))
    socket = await model.open("CA1")
    tokens = []
    for text in ("first", "second"):
        await socket.send(json.dumps(ASK | {"messages": [{"role": "user", "content": [{"text": text}]}]}))
        tokens.append(json.loads(await socket.recv())["token"])
    async with asyncio.timeout(LIMIT):
        await cancelled.wait()
        frames = [json.loads(await socket.recv())["type"] for _ in range(2)]
    await socket.close()
    await model.close()
    assert (tokens, frames) == (["One ", "Two."], ["message", "done"])


async def test_an_interruption_stops_the_model(dial: Dial) -> None:
    stopped = asyncio.Event()

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        yield "One "
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    call = await dial(models=[build_model(FunctionModel(stream_function=stream))])
    await call.begins("everything")
    await call.interrupts(after="One")
    async with asyncio.timeout(LIMIT):
        await stopped.wait()


def test_agent_runtime_has_the_limit_of_requests_of_the_server() -> None:
    assert deployed.MAX_ROUNDS == MAX_ROUNDS


def test_agent_runtime_imports_nothing_of_the_server() -> None:
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
    """A tool that runs in AgentCore. Returns its arguments."""
    cities: list[str] = []

    @strands.tool
    def weather(city: str) -> str:
        """Say how the weather is."""
        cities.append(city)
        return f"rain in {city}"

    monkeypatch.setattr(deployed, "TOOLS", [weather])
    return cities


async def test_a_tool_of_the_runtime_runs_there(dial: Dial, own_tool: list[str]) -> None:
    call = await dial({"calls": {"weather": {"city": "Bonn"}}, "then": "There is {result}."})
    turn = await call.says("How is the weather?")
    assert (turn.text, own_tool, turn.tools) == ("There is rain in Bonn.", ["Bonn"], ["weather"])


async def test_a_failure_after_a_tool_of_the_runtime_is_reported_by_its_own_class(own_tool: list[str]) -> None:
    async def fails(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        if last_exchange(messages)[1]:
            raise ModelDown
        yield tool_calls({"weather": {"city": "Bonn"}})

    model = ScriptedBedrock(FunctionModel(stream_function=fails))
    frames = [frame async for frame in deployed.answer(ASK, model)]
    assert (own_tool, frames[-1]) == (["Bonn"], {"type": "error", "reason": "ModelDown"})


async def test_tools_of_both_sides_may_be_called_at_once(dial: Dial, own_tool: list[str]) -> None:
    rule = {"hears": "both", "calls": {"weather": {"city": "Bonn"}, "look": {}}, "then": "{result}"}
    call = await dial(rule, *NUMBERS, tools=[look])
    assert sorted((await call.says("both")).text.split()) == ["Bonn", "here", "in", "rain"]
    assert (await call.says("2")).text == "This is 2."
    assert sorted(returned(call.session.history)) == ["here", "rain in Bonn"]


async def test_a_call_of_an_unknown_tool_does_not_end_the_answer(dial: Dial) -> None:
    call = await dial({"calls": {"fly": {}, "look": {}}, "then": "{result}"}, tools=[look])
    assert "here" in (await call.says("fly")).text


async def test_the_model_gets_wrong_arguments_as_a_result(dial: Dial) -> None:
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

    call = await dial(models=[build_model(FunctionModel(stream_function=corrects))], tools=[book])
    assert (await call.says("Two seats")).text == "booked 2."
    assert returned(list(call.session.turn.record))[0].startswith("Wrong arguments. count: Input should be")


async def test_blank_text_before_a_tool_call_is_not_sent_back(dial: Dial) -> None:
    call = await dial({"says": "  ", "calls": {"look": {}}, "then": "It is {result}."}, tools=[look])
    assert (await call.says("look")).text.strip() == "It is here."


# --- settings -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["BEDROCK_AGENTCORE_AGENT_ARN", "BEDROCK_AGENTCORE_FALLBACK_ARN"])
def test_an_invalid_arn_is_reported(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "arn:aws:bedrock-agentcore:us-east-1:000000000000:memory/notes")
    with pytest.raises(SettingsError) as error:
        load(require_model_keys=False)
    (problem,) = error.value.problems
    assert problem.startswith(f"{name} is ")


def test_a_missing_arn_is_reported_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("BEDROCK_AGENTCORE_AGENT_ARN")
    with pytest.raises(SettingsError) as error:
        load()
    assert sum(problem.startswith("BEDROCK_AGENTCORE_AGENT_ARN ") for problem in error.value.problems) == 1


def test_both_runtimes_are_used_in_order_each_in_its_region() -> None:
    second = ARN.replace("us-east-1", "eu-central-1")
    runtimes = AgentCore.build(defaults.settings(fallback_arn=second)).runtimes
    assert [each.arn for each in runtimes] == [ARN, second]
    assert DeployedRuntime(second, 5.0).client.region == "eu-central-1"


async def test_a_call_that_resumes_keeps_its_websocket() -> None:
    model = scripted({"says": "Yes."})
    agentcore = AgentCore([model], 5.0)
    await agentcore.warm_up()
    session = Session("CA1", defaults.CALLER, defaults.CALLED, "en-US", now=lambda: datetime.now(UTC))
    agentcore.on_connect(session)
    await until(lambda: model.sockets)
    ready = dict(agentcore.sockets.ready)
    agentcore.on_connect(session)
    assert agentcore.sockets.ready == ready and len(ready) == 1
    await agentcore.close()
    assert model.sockets[0].close_code
