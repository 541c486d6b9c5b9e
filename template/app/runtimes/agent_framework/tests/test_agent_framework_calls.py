"""Calls with Agent Framework: tokens, history, tools, failures, and the requests to Azure OpenAI."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import httpx2
import pytest
from agent_framework import Content
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app import config
from app.environment import SettingsError, load
from app.runtimes import TOOL_FAILED, TOOL_TIMED_OUT
from app.runtimes.agent_framework import AgentFramework
from app.runtimes.microsoft_agents.base import Tokens
from app.runtimes.microsoft_agents.messages import chat_messages
from app.runtimes.microsoft_agents.scripted_agent import reject_like_azure
from app.runtimes.microsoft_agents.tests.responses import ResponsesAPI, event, reasoning, response, text, tool_call
from app.runtimes.tests.interruptions import DEADLINE, LIMIT, InterruptedTurns, event_loop_runs
from app.session import this_session
from app.voice.phrases import phrases
from kit import defaults
from kit.caller import Call
from kit.conventions import build_model
from kit.voice_fixtures import Dial

ENDPOINT = "https://example.openai.azure.com"


async def three_more_turns(call: Call) -> None:
    for number in ("one", "two", "three"):
        assert (await call.says(number)).text == "Yes."
    reject_like_azure(chat_messages(call.session.history))


# --- a conversation ---------------------------------------------------------------------------------------------------


async def test_tokens_are_sent_as_they_arrive_and_once(dial: Dial) -> None:
    more = asyncio.Event()

    async def script(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        yield "One "
        await more.wait()
        yield "two three."

    call = await dial(models=[build_model(FunctionModel(stream_function=script))])
    turn = await call.begins("Count")
    await call.hears("One")
    more.set()
    assert (await call.hears_reply(turn)).text == "One two three."


class TestInterruptedTurns(InterruptedTurns):
    def check(self, history: Sequence[m.ModelMessage]) -> None:
        reject_like_azure(chat_messages(history))


# --- tools ------------------------------------------------------------------------------------------------------------


async def fails() -> str:
    raise RuntimeError("a secret")


async def count(number: int, colour: str = "red") -> dict[str, Any]:
    return {"status": colour, "content": number}


async def test_the_model_gets_the_error_of_a_tool_without_its_text(dial: Dial) -> None:
    call = await dial({"calls": {"fails": {}}, "then": "{result}"}, tools=[fails])
    assert (await call.says("Do it")).text == TOOL_FAILED.format("RuntimeError")


async def test_a_tool_that_takes_too_long_is_stopped(
    dial: Dial, let_time_pass: Callable[[float], Awaitable[None]]
) -> None:
    started = asyncio.Event()

    async def look_up() -> None:
        started.set()
        await asyncio.Event().wait()

    call = await dial({"calls": {"look_up": {}}, "then": "{result}"}, tools=[look_up], deadline=DEADLINE)
    turn = await call.begins("look")
    await started.wait()
    await let_time_pass(2 * DEADLINE)
    assert TOOL_TIMED_OUT in (await call.hears_reply(turn)).text


async def test_two_tool_calls_of_one_response_both_get_results(dial: Dial) -> None:
    async def look_up() -> str:
        return "found"

    calls = {"look_up": {}, "count": {"number": "2"}}
    call = await dial({"calls": calls, "then": "{result}"}, tools=[look_up, count])
    assert (await call.says("Both")).text == 'found {"status": "red", "content": 2}'


@pytest.mark.parametrize(
    ("name", "arguments", "said"), [("count", {}, "Wrong arguments. number: "), ("nothing", {}, "not found")]
)
async def test_the_model_gets_wrong_arguments_and_unknown_tools_as_results(
    name: str, arguments: dict[str, Any], said: str, dial: Dial
) -> None:
    rules = [{"hears": "do", "calls": {name: arguments}, "then": "{result}"}, {"says": "Yes."}]
    call = await dial(*rules, tools=[count])
    assert said in (await call.says("do")).text
    await three_more_turns(call)


async def test_a_parameter_may_have_any_name(dial: Dial) -> None:
    """Agent Framework reserves one of these names."""

    def say(ctx, session: str) -> str:  # type: ignore[no-untyped-def]
        return f"{ctx} {session}"

    call = await dial({"calls": {"say": {"ctx": "a", "session": "b"}}, "then": "{result}"}, tools=[say])
    assert (await call.says("do")).text == "a b"


async def test_a_blocking_tool_has_its_session_and_does_not_block_the_event_loop(dial: Dial) -> None:
    loop = asyncio.get_running_loop()

    def look_up() -> str:
        return f"{event_loop_runs(loop)} {this_session().caller}"

    call = await dial({"calls": {"look_up": {}}, "then": "{result}"}, tools=[look_up])
    assert (await call.says("look")).text.endswith(f"True {defaults.CALLER}")


# --- the real client of Azure OpenAI, with a transport of this machine ----------------------------------------------


def azure(*apis: ResponsesAPI, **settings: Any) -> list[Any]:
    """Clients as the settings have them: the first, and with a second api the fallback."""
    if len(apis) > 1:
        settings["fallback_model"] = "gpt-6-sol"
    known = {"openai_endpoint": ENDPOINT, "openai_key": "a-test-key", "deadline": 30.0, **settings}
    clients: list[Any] = list(AgentFramework.build(defaults.settings(**known)).clients)
    for client, api in zip(clients, apis, strict=True):
        client.client = client.client.with_options(http_client=api.client)
    return clients


async def test_a_request_has_the_heard_history_and_stores_nothing(dial: Dial) -> None:
    api = ResponsesAPI(text("From ", "Azure."))
    call = await dial(models=azure(api), tools=[count])
    call.session.guidance.append("The caller likes tea.")
    assert (await call.says("Hello")).text == "From Azure."
    await call.says("And now?")
    request, body = api.requests[-1], api.bodies[-1]
    assert str(request.url) == f"{ENDPOINT}/openai/v1/responses"
    assert request.headers["authorization"] == "Bearer a-test-key"
    assert (body["model"], body["store"], body["stream"]) == (config.MODEL, False, True)
    assert [(item["role"], item["content"][0]["text"]) for item in body["input"][-3:]] == [
        ("user", "Hello"),
        ("assistant", "From Azure."),
        ("user", "And now?"),
    ]
    assert json.dumps(body).count("likes tea") == 1 and "likes tea" in body["instructions"]
    assert body["tools"][0]["name"] == "count"


async def test_the_user_agent_names_no_features(dial: Dial) -> None:
    api = ResponsesAPI(text("Yes."))
    call = await dial(models=azure(api))
    await call.says("Hello")
    assert "feat=" not in api.requests[0].headers["user-agent"]
    assert "agent-framework-version" not in api.requests[0].headers


async def test_every_history_is_a_valid_request(dial: Dial) -> None:
    """With a tool, an interruption and text that the agent said by itself, in order."""
    api = ResponsesAPI(text("Yes."))
    call = await dial(models=azure(api))
    use = m.ToolCallPart("look_up", {"order": 7}, "use-1")
    call.session.history = [
        m.ModelResponse([m.TextPart("Are you there?")]),
        m.ModelRequest.user_text_prompt("Look up"),
        m.ModelResponse([m.TextPart(" "), m.TextPart("One moment."), use]),
        m.ModelRequest([m.ToolReturnPart("look_up", {"found": True}, "use-1")]),
        m.ModelRequest.user_text_prompt("Hello?"),
    ]
    assert (await call.says("And now?")).text == "Yes."
    items = [item for item in api.bodies[0]["input"] if item.get("role") != "system"]
    kinds = ["message", "message", "message", "function_call", "function_call_output", "message", "message"]
    assert [item["type"] for item in items] == kinds
    assert items[3]["arguments"] == '{"order":7}' and items[4]["output"] == '{"found": true}'


async def test_the_result_of_a_tool_is_sent_with_the_reasoning_before_it(dial: Dial) -> None:
    api = ResponsesAPI([*reasoning(encrypted_content="sealed"), *tool_call("count", '{"number": 2}')], text("Two."))
    call = await dial(models=azure(api), tools=[count])
    assert (await call.says("Count")).text == "Two."
    replayed = [item["type"] for item in api.bodies[1]["input"][-3:]]
    assert replayed == ["reasoning", "function_call", "function_call_output"]
    assert api.bodies[1]["input"][-3]["encrypted_content"] == "sealed"
    turn = call.session.turn
    assert turn and [type(message).__name__ for message in turn.record] == [
        *["ModelRequest", "ModelResponse"] * 2,
    ]
    assert isinstance(turn.record[1], m.ModelResponse) and turn.record[1].model_name == config.MODEL


async def test_arguments_that_are_not_json_are_wrong_arguments(dial: Dial) -> None:
    api = ResponsesAPI(tool_call("count", '{"number": '), text("Sorry."))
    call = await dial(models=azure(api), tools=[count])
    assert (await call.says("Count")).text == "Sorry."
    assert "Wrong arguments. number" in api.bodies[1]["input"][-1]["output"]


@pytest.mark.parametrize("first", [500, 429, [response("failed")], [], text()])
async def test_the_next_deployment_answers_when_one_fails(first: Any, dial: Dial) -> None:
    down, up = ResponsesAPI(first), ResponsesAPI(text("Yes."))
    call = await dial(models=azure(down, up))
    assert (await call.says("Hello")).text == "Yes."
    assert len(down.requests) == 1
    assert (down.bodies[0]["model"], up.bodies[0]["model"]) == (config.MODEL, "gpt-6-sol")


async def test_a_response_without_tokens_is_a_failure(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial(models=azure(ResponsesAPI([])))
    assert (await call.says("Hello")).text == phrases.APOLOGY
    assert "the stream ended before it began" in logged()


async def test_the_next_deployment_answers_when_one_is_silent(
    dial: Dial, let_time_pass: Callable[[float], Awaitable[None]]
) -> None:
    """Its reasoning is not a token."""
    thinking = [*reasoning(), event("silence")]
    down, up = ResponsesAPI(thinking), ResponsesAPI(text("Yes."))
    call = await dial(models=azure(down, up), deadline=DEADLINE)
    turn = await call.begins("Hello")
    await down.silent.wait()
    await let_time_pass(DEADLINE)
    assert (await call.hears_reply(turn)).text == f"{phrases.HOLD} Yes."
    await asyncio.wait_for(down.closed.wait(), LIMIT)


async def test_a_deployment_that_breaks_off_is_not_replaced(dial: Dial, logged: Callable[[], str]) -> None:
    broken, other = ResponsesAPI([*text("One ", "two "), response("failed")]), ResponsesAPI(text("Yes."))
    call = await dial(models=azure(broken, other))
    assert (await call.says("Hello")).text == f"One two  {phrases.APOLOGY}"
    assert other.requests == [] and "response.failed" in logged()
    broken.responses = [text("Yes.")]
    await three_more_turns(call)


async def test_an_interruption_closes_the_request(dial: Dial) -> None:
    api = ResponsesAPI([*text("One ", "two "), event("silence")])
    call = await dial(models=azure(api))
    await call.begins("Hello")
    await call.hears("One two")
    await call.interrupts(after="One")
    await asyncio.wait_for(api.closed.wait(), LIMIT)


async def test_the_log_has_the_error_and_nothing_of_the_conversation(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial(models=azure(ResponsesAPI(429)))
    assert (await call.says("my secret")).text == phrases.APOLOGY
    assert "RateLimitError 429" in logged() and "secret" not in logged()


def test_a_complete_text_adds_only_new_tokens() -> None:
    tokens = Tokens()
    contents = [("One ", "append"), ("One two", "replace"), ("Three", "append"), ("Three", "replace")]
    assert [tokens.new_in(Content.from_text(text, merge_mode=mode)) for text, mode in contents] == [  # type: ignore[arg-type]
        "One ",
        "two",
        "Three",
        "",
    ]


# --- settings ---------------------------------------------------------------------------------------------------------


def test_missing_variables_are_reported_with_the_fix(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as error:
        load()
    endpoint, key = error.value.problems
    assert endpoint.startswith("AZURE_OPENAI_ENDPOINT is missing. Copy") and "openai.azure.com" in endpoint
    assert key.startswith("AZURE_OPENAI_API_KEY is missing. Copy") and "az login" in key


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZURE_OPENAI_ENDPOINT", f"{ENDPOINT}/openai/v1"),
        ("AZURE_OPENAI_ENDPOINT", "example.openai.azure.com"),
        ("AGENT_MODEL", "azure:gpt-6-luna"),
        ("AGENT_FALLBACK_MODEL", "gpt 6"),
        ("AZURE_TOKEN_CREDENTIALS", "me"),
    ],
)
def test_invalid_variables_are_reported(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv("AZURE_OPENAI_ENDPOINT", ENDPOINT)
    environment.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
    environment.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load()
    (problem,) = error.value.problems
    assert problem.startswith(f"{name} is {value!r}. Write" if "ENDPOINT" not in name else f"{name} is {value!r}. Copy")


async def test_without_a_key_requests_have_the_token_of_the_identity(
    monkeypatch: pytest.MonkeyPatch, dial: Dial
) -> None:
    scopes_used: list[str] = []

    class Credential:
        async def get_token(self, *scopes: str, **_: Any) -> Any:
            scopes_used.extend(scopes)
            return type("Token", (), {"token": "a-token", "expires_on": time.time() + 3600})()

        async def close(self) -> None: ...

    monkeypatch.setattr("app.runtimes.azure.default_credential", Credential)
    api = ResponsesAPI(text("Yes."))
    call = await dial(models=azure(api, openai_key=None))
    assert (await call.says("Hello")).text == "Yes."
    assert api.requests[0].headers["authorization"] == "Bearer a-token"
    assert scopes_used == ["https://cognitiveservices.azure.com/.default"]


async def test_a_failing_identity_does_not_stop_the_server(
    monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
    runtime = AgentFramework.build(defaults.settings(openai_endpoint=ENDPOINT))
    assert runtime.identity

    async def refuse() -> str:
        raise RuntimeError("a secret")

    runtime.identity.token = refuse
    await runtime.warm_up()
    await runtime.close()
    assert "azure.no_token" in logged() and "a secret" not in logged()


async def test_without_an_identity_no_token_is_requested() -> None:
    runtime = AgentFramework.build(defaults.settings(openai_endpoint=ENDPOINT))
    await runtime.warm_up()
    await runtime.close()


def test_an_endpoint_may_end_in_a_slash() -> None:
    (client,) = AgentFramework.build(defaults.settings(openai_endpoint=f"{ENDPOINT}/", openai_key="a")).clients
    assert isinstance(client.client.base_url, httpx2.URL)  # type: ignore[attr-defined]
    assert str(client.client.base_url) == f"{ENDPOINT}/openai/v1/"  # type: ignore[attr-defined]
