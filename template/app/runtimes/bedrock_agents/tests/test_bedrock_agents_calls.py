"""Calls with Amazon Bedrock Agents: threads, interruptions, requests, tools, the action group and settings."""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import json
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import botocore.session
import pytest
from botocore.validate import validate_parameters
from pydantic import Field
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel
from typer.testing import CliRunner

from app.environment import SettingsError, load
from app.main import create_app
from app.registry import load_tools
from app.runtimes.bedrock_agents import BedrockAgents, Reply, ToolRequest, run_tools, runtime_client
from app.runtimes.bedrock_agents.commands import function_schema
from app.runtimes.bedrock_agents.fake import ScriptedAgent, build_model, event
from app.runtimes.tests.interruptions import DEADLINE, LIMIT, until
from app.runtimes.tools import TurnTool
from app.turn import Turn
from app.voice.phrases import phrases
from kit import cli, defaults
from kit.caller import caller_on
from kit.local_server import serve
from kit.plugin import silence_logs
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.voice_fixtures import Dial

YES = {"hears": "", "says": "Yes."}
LONG = {"hears": "story", "says": "One two three four five six seven eight.", "word_delay": 0.02}


def readers() -> list[threading.Thread]:
    """The threads that read answers."""
    return [thread for thread in threading.enumerate() if thread.name == "bedrock-agent"]


def requests(agent: ScriptedAgent, number: int = -1) -> dict[str, Any]:
    return agent.service.requests[number]


def history(request: dict[str, Any]) -> list[tuple[str, str]]:
    messages = request["sessionState"]["conversationHistory"]["messages"]
    return [(message["role"], " ".join(block["text"] for block in message["content"])) for message in messages]


# --- threads -------------------------------------------------------------------------------------------------------


async def test_two_calls_at_once_do_not_block_each_other() -> None:
    both = asyncio.Barrier(2)

    async def script(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        await both.wait()
        yield "Yes."

    model = build_model(FunctionModel(stream_function=script))
    app = create_app(defaults.settings(), [model], [], transport=SimulatedAccount().transport)
    async with (
        serve(app) as address,
        caller_on(app, address) as one,
        caller_on(app, address, caller="+15005550007") as two,
    ):
        turns = await asyncio.gather(one.says("Hello"), two.says("Hello"))
        assert [turn.text for turn in turns] == ["Yes.", "Yes."]


async def test_the_event_loop_runs_while_the_agent_is_silent(dial: Dial) -> None:
    answers = asyncio.Event()

    async def script(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        await answers.wait()
        yield "Yes."

    call = await dial(models=[build_model(FunctionModel(stream_function=script))])
    turn = await call.begins("Hello")
    await until(readers)
    answers.set()
    assert (await call.hears_reply(turn)).text == "Yes."


async def test_an_interruption_is_handled_while_the_agent_is_silent(dial: Dial) -> None:
    call = await dial({"hears": "first", "hangs": True}, YES, deadline=5.0)
    await call.begins("first")
    await until(readers)
    await call.interrupts()
    assert (await call.says("second")).text == "Yes."
    await until(lambda: not readers())


async def test_a_failed_request_is_not_repeated(wire: Wire, dial: Dial) -> None:
    wire.status = 500
    call = await dial(models=["AAAAAAAAAA/TSTALIASID"])
    assert (await call.says("Hello")).text == phrases.APOLOGY
    assert wire.requests == 1


def test_the_timeouts_follow_the_deadline() -> None:
    config = runtime_client(defaults.settings(deadline=2.0)).meta.config
    assert (config.connect_timeout, config.read_timeout) == (2.0, 8.0)


async def test_the_only_agent_may_be_silent_for_longer_than_the_deadline(
    dial: Dial, advance_clock: Callable[[float], None]
) -> None:
    asked, answers = asyncio.Event(), asyncio.Event()

    async def script(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        asked.set()
        await answers.wait()
        yield "Yes."

    call = await dial(models=[build_model(FunctionModel(stream_function=script))], deadline=DEADLINE)
    turn = await call.begins("Hello")
    await asked.wait()
    advance_clock(DEADLINE)
    await call.hears(phrases.HOLD)
    answers.set()
    assert (await call.hears_reply(turn)).text == f"{phrases.HOLD} Yes."


# --- interruptions --------------------------------------------------------------------------------------------------


async def test_an_interruption_closes_the_stream(wire: Wire, dial: Dial) -> None:
    call = await dial(models=["AAAAAAAAAA/TSTALIASID"])
    await call.begins("Hello")
    await call.hears("One")
    await call.interrupts(after="One")
    await asyncio.wait_for(wire.gone.wait(), LIMIT)
    await until(lambda: not readers())


async def test_no_token_of_an_interrupted_answer_is_sent_later(wire: Wire, dial: Dial) -> None:
    call = await dial(models=["AAAAAAAAAA/TSTALIASID"])
    await call.begins("Hello")
    await call.interrupts(after="One")
    wire.then = ["Two"]
    turn = await call.says("And now?")
    assert turn.text == "Two"


async def test_the_turns_after_an_interruption_get_their_own_answers(dial: Dial) -> None:
    agent = scripted(LONG, *({"hears": word, "says": f"You said {word}."} for word in ("red", "green", "blue")))
    call = await dial(models=[agent])
    await call.begins("Tell me a story")
    await call.interrupts(after="One two")
    assert [(await call.says(word)).text for word in ("red", "green", "blue")] == [
        "You said red.",
        "You said green.",
        "You said blue.",
    ]
    assert history(requests(agent)) == [
        ("user", "Tell me a story"),
        ("assistant", "One two"),
        ("user", "red"),
        ("assistant", "You said red."),
        ("user", "green"),
        ("assistant", "You said green."),
    ]


async def test_the_history_holds_only_text_that_the_caller_heard(dial: Dial) -> None:
    contents: list[list[str]] = []

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        contents.append([str(part.content) for each in messages for part in each.parts if hasattr(part, "content")])
        for word in ("One ", "two ", "three."):
            yield word
            if len(contents) == 1:
                await asyncio.Event().wait()

    call = await dial(models=[build_model(FunctionModel(stream_function=stream))])
    await call.begins("Count")
    await call.interrupts(after="One")
    await call.says("Go on")
    await call.says("Again")
    assert contents[-1] == ["Count", "One", "Go on", "One two three.", "Again"]


async def test_roles_alternate_when_nothing_was_heard(dial: Dial) -> None:
    agent = scripted({"hears": "first", "hangs": True}, YES)
    call = await dial(models=[agent])
    await call.begins("first")
    await call.interrupts()
    await call.says("second")
    assert history(requests(agent)) == [("user", "first"), ("assistant", "(interrupted)")]


# --- requests ------------------------------------------------------------------------------------------------------


async def test_the_input_is_the_user_text_alone(dial: Dial) -> None:
    agent = scripted(YES)
    call = await dial(models=[agent])
    await call.says("Hello")
    await call.says("When do you open?")
    request = requests(agent)
    assert request["inputText"] == "When do you open?"
    assert history(request) == [("user", "Hello"), ("assistant", "Yes.")]


async def test_context_is_sent_once_and_stays_out_of_the_history(dial: Dial) -> None:
    agent = scripted(YES)
    call = await dial(models=[agent])
    call.session.guidance.append("The caller likes tea.")
    for _ in range(3):
        await call.says("Hello")
    assert [json.dumps(request).count("likes tea") for request in agent.service.requests] == [1, 1, 1]
    state = requests(agent)["sessionState"]
    assert "likes tea" in state["promptSessionAttributes"]["instructions"]


async def test_the_agents_own_actions_get_call_and_caller(dial: Dial) -> None:
    agent = scripted(YES)
    call = await dial(models=[agent])
    await call.says("Hello")
    attributes = requests(agent)["sessionState"]["sessionAttributes"]
    assert (attributes["call"], attributes["caller"]) == (call.sid, defaults.CALLER)


async def test_every_turn_has_a_session_of_its_own(dial: Dial) -> None:
    agent = scripted(YES)
    call = await dial(models=[agent])
    for _ in range(2):
        await call.says("Hello")
    sessions = [re.search("/sessions/([^/]*)/", request["url"]) for request in agent.service.requests]
    assert len({found.group(1) for found in sessions if found}) == 2
    assert all(found and found.group(1).startswith(call.sid) for found in sessions)


async def test_later_turns_get_the_results_of_tools_outside_the_history(dial: Dial) -> None:
    async def look_up(order: str) -> str:
        """Look it up."""
        return "on its way"

    agent = scripted({"hears": "where", "calls": {"look_up": {"order": "7"}}, "then": "Soon."}, YES)
    call = await dial(models=[agent], tools=[look_up])
    await call.says("Where is 7?")
    await call.says("Thanks")
    request = requests(agent)
    assert history(request) == [("user", "Where is 7?"), ("assistant", "Soon.")]
    earlier = json.loads(request["sessionState"]["promptSessionAttributes"]["results_of_earlier_functions"])
    assert earlier == [{"function": "look_up", "arguments": {"order": "7"}, "result": "on its way"}]


# --- text ------------------------------------------------------------------------------------------------------------


def test_a_character_may_be_split_between_two_chunks() -> None:
    reply = Reply()
    tokens = [reply.add({"chunk": {"bytes": bytes([byte])}}) for byte in "Füße".encode()]
    assert ("".join(tokens), reply.text) == ("Füße", "Füße")


async def test_an_error_within_the_stream_ends_in_an_apology_and_is_logged_without_its_text(
    wire: Wire, dial: Dial, logged: Callable[[], str]
) -> None:
    wire.fails = "throttlingException"
    call = await dial(models=["AAAAAAAAAA/TSTALIASID"])
    assert (await call.says("Hello")).text == phrases.APOLOGY
    log = logged()
    assert "throttlingException" in log and "a secret" not in log


# --- tools -----------------------------------------------------------------------------------------------------------


async def count(number: int, wanted: list[str], why: str = "") -> str:
    """Count things."""
    return f"{number + 1} of {'/'.join(wanted)}"


async def fetch() -> dict[str, int]:
    """Fetch something."""
    return {"pieces": 3}


def function(name: str, *parameters: tuple[str, str, str], **more: str) -> dict[str, Any]:
    given = [{"name": name, "type": kind, "value": value} for name, kind, value in parameters]
    inner = {"actionGroup": "tools", "function": name, "parameters": given, "agentId": "AAAAAAAAAA", **more}
    return {"functionInvocationInput": inner}


def operation(path: str, *parameters: tuple[str, str, str]) -> dict[str, Any]:
    given = [{"name": name, "type": kind, "value": value} for name, kind, value in parameters]
    body = {"content": {"application/json": {"properties": given}}}
    return {"apiInvocationInput": {"actionGroup": "api", "apiPath": path, "httpMethod": "POST", "requestBody": body}}


async def results(*inputs: dict[str, Any], tools: list[Callable[..., Any]] | None = None) -> list[dict[str, Any]]:
    """The results that are sent to the agent for these requests."""
    requests = [ToolRequest.read(given, str(number)) for number, given in enumerate(inputs)]
    known = [TurnTool(tool, Turn("?"), 1.0) for tool in ([count, fetch] if tools is None else tools)]
    used = await run_tools(requests, known)
    shape = service("bedrock-agent-runtime").shape_for("ReturnControlInvocationResults")
    validate_parameters(used, shape)
    return used


def service(name: str) -> Any:
    return botocore.session.Session().get_service_model(name)


def body(result: dict[str, Any]) -> str:
    (inner,) = result.values()
    return str(inner["responseBody"]["TEXT"]["body"])


async def test_several_tools_requested_at_once_get_results_in_order() -> None:
    used = await results(
        function("count", ("number", "integer", "2"), ("wanted", "array", "[red, blue]")), function("fetch")
    )
    assert [body(result) for result in used] == ["3 of red/blue", '{"pieces": 3}']
    assert [result["functionResult"]["function"] for result in used] == ["count", "fetch"]
    assert [result["functionResult"]["agentId"] for result in used] == ["AAAAAAAAAA"] * 2


async def test_values_are_converted_to_the_annotations() -> None:
    (used,) = await results(function("count", ("number", "string", "41"), ("wanted", "array", '["a"]')))
    assert body(used) == "42 of a"


async def test_the_path_of_an_operation_is_the_name_of_its_tool() -> None:
    (used,) = await results(operation("/count", ("number", "integer", "1"), ("wanted", "array", '["a"]')))
    assert body(used) == "2 of a"
    assert used["apiResult"]["apiPath"] == "/count" and used["apiResult"]["httpStatusCode"] == 200


@pytest.mark.parametrize("given", [function("nothing"), operation("/no-thing")])
async def test_an_unknown_tool_is_a_failed_result(given: dict[str, Any]) -> None:
    (used,) = await results(given)
    (inner,) = used.values()
    assert inner["responseState"] == "REPROMPT" and body(used)
    assert inner.get("httpStatusCode", 404) == 404


async def test_the_result_for_wrong_arguments_names_them() -> None:
    (used,) = await results(function("count", ("number", "integer", "1")))
    assert body(used).startswith("Wrong arguments. wanted: ")


async def test_a_tool_that_needs_confirmation_does_not_run() -> None:
    ran: list[str] = []

    async def fetch() -> str:
        ran.append("fetch")
        return "done"

    (used,) = await results(function("fetch", actionInvocationType="USER_CONFIRMATION_AND_RESULT"), tools=[fetch])
    assert used["functionResult"]["confirmationState"] == "DENY" and ran == []


async def test_an_agent_that_requests_an_unknown_tool_continues(dial: Dial) -> None:
    call = await dial({"calls": {"nothing": {}}, "then": "It said: {result}"})
    assert "There is no nothing here" in (await call.says("Do it")).text


async def test_the_results_of_two_tools_are_sent_in_the_same_session(dial: Dial) -> None:
    agent = scripted({"calls": {"fetch": {}, "count": {"number": 1, "wanted": ["a"]}}, "then": "{result}"})
    call = await dial(models=[agent], tools=[fetch, count])
    assert (await call.says("Both")).text == '{"pieces": 3} 2 of a'
    first, second = agent.service.requests
    assert first["url"] == second["url"]
    assert "conversationHistory" not in second["sessionState"] and "inputText" not in second
    assert second["sessionState"]["promptSessionAttributes"] == first["sessionState"]["promptSessionAttributes"]
    assert [part.tool_name for part in call.session.turn.record[1].tool_calls] == ["fetch", "count"]


# --- the action group ----------------------------------------------------------------------------------------------


async def choose(colour: Literal["red", "blue"], size: int | None = None) -> str:
    """Choose something.

    Args:
        colour: which one.
    """
    return colour


def test_the_function_schema_is_valid() -> None:
    made = function_schema([choose, count])
    request = {"agentId": "A", "agentVersion": "DRAFT", "actionGroupName": "tools", "functionSchema": made}
    validate_parameters(request, service("bedrock-agent").operation_model("CreateAgentActionGroup").input_shape)
    chosen, counted = made["functions"]
    assert chosen["parameters"] == {
        "colour": {"type": "string", "required": True, "description": "which one. One of: red, blue."},
        "size": {"type": "integer", "required": False},
    }
    assert {name: value["type"] for name, value in counted["parameters"].items()} == {
        "number": "integer",
        "wanted": "array",
        "why": "string",
    }


def test_functions_that_the_service_would_refuse_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    async def too__much(
        a: int, b: int, c: int, d: int, e: int, f: Annotated[int, Field(description=501 * "-")]
    ) -> None:
        """Do it."""

    function_schema([too__much])
    report = capsys.readouterr().err
    assert "its name" in report and "6 arguments" in report and "f takes more than 500 characters" in report


def test_an_argument_that_the_service_has_no_type_for_is_json() -> None:
    async def order(cups: dict[str, int], sizes: list[list[int]], either: int | bool, anything: Any) -> None:
        """Order."""

    (made,) = function_schema([order])["functions"]
    assert {name: value["type"] for name, value in made["parameters"].items()} == dict.fromkeys(
        ("cups", "sizes", "either", "anything"), "string"
    )
    assert made["parameters"]["cups"]["description"] == (
        'JSON: {"additionalProperties": {"type": "integer"}, "type": "object"}'
    )


def test_the_command_prints_every_tool() -> None:
    result = CliRunner().invoke(cli.app, ["action-group"])
    silence_logs()
    printed = [each["name"] for each in json.loads(result.output)["functions"]]
    of_capabilities = {"app.escalation": "transfer_to_human", "app.memory": "recall"}
    present = [tool for module, tool in of_capabilities.items() if importlib.util.find_spec(module)]
    assert {*(tool.__name__ for tool in load_tools()), *present} <= set(printed)


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("BEDROCK_AGENT_ID", "my-agent"), ("BEDROCK_AGENT_ALIAS_ID", "live"), ("BEDROCK_FALLBACK_AGENT", "ABCDEFGHIJ")],
)
def test_an_invalid_id_is_reported(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv("AWS_ACCESS_KEY_ID", "a")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "b")
    environment.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load()
    (problem,) = error.value.problems
    assert problem.startswith(f"{name} is {value!r}. ")


def test_the_agents_of_the_settings_are_used_in_order(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("BEDROCK_AGENT_ID", "AAAAAAAAAA")
    environment.setenv("BEDROCK_FALLBACK_AGENT", "BBBBBBBBBB/CCCCCCCCCC")
    named = ["AAAAAAAAAA/TSTALIASID", "BBBBBBBBBB/CCCCCCCCCC"]
    assert BedrockAgents.model_names() == named
    settings = defaults.settings(agent_id="AAAAAAAAAA", fallback_agent="BBBBBBBBBB/CCCCCCCCCC", region="eu-west-1")
    agents = BedrockAgents.build(settings).agents
    assert [agent.name for agent in agents] == named
    assert agents[0].client.meta.region_name == "eu-west-1"


# --- a service on a real socket --------------------------------------------------------------------------------------


class Wire:
    """The service on a socket of this machine. It sends `then`; without it one token, and waits for the disconnect."""

    def __init__(self) -> None:
        self.then: list[str] = []
        self.status = 200
        self.fails = ""
        self.requests = 0
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = re.search(r"content-length: (\d+)", head)
        await reader.readexactly(int(length.group(1)) if length else 0)
        self.requests += 1
        writer.write(
            f"HTTP/1.1 {self.status} -\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        if self.fails:
            self.send(writer, event(self.fails, {"message": "a secret"}, "exception"))
        for word in self.then or ([] if self.fails or self.status != 200 else ["One "]):
            self.send(writer, event("chunk", {"bytes": base64.b64encode(word.encode()).decode()}))
        if not self.then and not self.fails and self.status == 200:
            await reader.read()  # until the other side goes
            self.gone.set()
        else:
            writer.write(b"0\r\n\r\n")
        writer.close()

    def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


@asynccontextmanager
async def on_a_socket(wire: Wire, environment: pytest.MonkeyPatch) -> AsyncGenerator[Wire]:
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    environment.setenv("AWS_ENDPOINT_URL_BEDROCK_AGENT_RUNTIME", f"http://{host}:{port}")
    yield wire
    server.close()


@pytest.fixture
async def wire(environment: pytest.MonkeyPatch) -> AsyncGenerator[Wire]:
    """boto3 reaches this instead of AWS."""
    environment.setenv("AWS_ACCESS_KEY_ID", "a-test-key")
    environment.setenv("AWS_SECRET_ACCESS_KEY", "a-test-secret")
    environment.setenv("NO_PROXY", "127.0.0.1")
    environment.setattr("boto3.DEFAULT_SESSION", None)
    async with on_a_socket(Wire(), environment) as served:
        yield served
