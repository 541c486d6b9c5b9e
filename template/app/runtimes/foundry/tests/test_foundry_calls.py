"""Calls with a prompt agent of Microsoft Foundry: its tools run here, and the session has the history."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from azure.ai.projects.models import PromptAgentDefinition
from pydantic_ai import messages as m
from typer.testing import CliRunner

from app.environment import SettingsError, load
from app.registry import load_tools
from app.runtimes import TOOL_FAILED
from app.runtimes.foundry import Foundry
from app.runtimes.foundry.commands import definition
from app.runtimes.foundry.prompt_agent import PromptAgent
from app.runtimes.microsoft_agents.messages import chat_messages
from app.runtimes.microsoft_agents.scripted_agent import reject_like_azure
from app.runtimes.microsoft_agents.tests.responses import ResponsesAPI, event, reasoning, response, text, tool_call
from app.runtimes.tests.interruptions import DEADLINE, LIMIT, InterruptedTurns
from app.voice.phrases import phrases
from kit import cli, defaults
from kit.caller import Call
from kit.plugin import silence_logs
from kit.voice_fixtures import Dial

PROJECT = "https://example.services.ai.azure.com/api/projects/one"


class Credential:
    """A credential with a token for tests."""

    async def get_token(self, *scopes: str, **_: Any) -> Any:
        return type("Token", (), {"token": "a-token", "expires_on": time.time() + 3600})()

    async def close(self) -> None: ...


@pytest.fixture(autouse=True)
def credential(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.runtimes.azure.default_credential", Credential)


def foundry(*apis: ResponsesAPI, **settings: Any) -> list[Any]:
    """Clients as the settings have them: the first agent, and with a second api the fallback."""
    if len(apis) > 1:
        settings["fallback_agent"] = "second"
    known = {"project_endpoint": PROJECT, "agent_name": "first", "agent_version": "3", "deadline": 30.0, **settings}
    clients: list[Any] = list(Foundry.build(defaults.settings(**known)).clients)
    for client, api in zip(clients, apis, strict=True):
        client.client = client.client.with_options(http_client=api.client)
    return clients


async def count(number: int) -> str:
    return f"{number} cups"


async def three_more_turns(call: Call) -> None:
    for number in ("one", "two", "three"):
        assert (await call.says(number)).text == "Yes."
    reject_like_azure(chat_messages(call.session.history))


# --- a conversation ---------------------------------------------------------------------------------------------------


async def test_every_token_is_sent_once(dial: Dial) -> None:
    call = await dial(models=foundry(ResponsesAPI(text("From ", "Foundry."))))
    assert (await call.says("Hello")).text == "From Foundry."


async def test_the_history_is_right_after_an_interruption(dial: Dial) -> None:
    api = ResponsesAPI([*text("Once ", "upon "), event("silence")], text("Yes."))
    call = await dial(models=foundry(api))
    await call.begins("Tell me a story")
    await call.hears("Once upon")
    await call.interrupts(after="Once")
    await asyncio.wait_for(api.closed.wait(), LIMIT)
    await three_more_turns(call)
    texts = [item["content"][0]["text"] for item in api.bodies[-1]["input"]]
    assert texts == ["Tell me a story", "Once", "one", "Yes.", "two", "Yes.", "three"]


class TestInterruptedTurns(InterruptedTurns):
    def check(self, history: Sequence[m.ModelMessage]) -> None:
        reject_like_azure(chat_messages(history))


async def test_the_agent_gets_the_error_of_a_tool_without_its_text(dial: Dial) -> None:
    async def fails() -> str:
        raise RuntimeError("a secret")

    api = ResponsesAPI(tool_call("fails"), text("Sorry."))
    call = await dial(models=foundry(api), tools=[fails])
    assert (await call.says("Do it")).text == "Sorry."
    assert api.bodies[1]["input"][-1]["output"] == TOOL_FAILED.format("RuntimeError")


# --- requests --------------------------------------------------------------------------------------------------------


async def test_a_request_holds_only_what_the_service_accepts(dial: Dial, logged: Callable[[], str]) -> None:
    api = ResponsesAPI(text("Yes."))
    call = await dial(models=foundry(api), tools=[count])
    call.session.guidance.append("The caller likes tea.")
    await call.says("Hello")
    request, body = api.requests[0], api.bodies[0]
    assert str(request.url) == f"{PROJECT}/openai/v1/responses"
    assert request.headers["authorization"] == "Bearer a-token"
    assert body["agent_reference"] == {"type": "agent_reference", "name": "first", "version": "3"}
    assert "The caller likes tea." in body["structured_inputs"]["instructions"]
    assert body.keys() == {"agent_reference", "structured_inputs", "input", "store", "stream"}
    assert body["store"] is False
    assert "warning" not in logged()


async def test_the_result_of_a_tool_is_sent_without_reasoning(dial: Dial) -> None:
    """Foundry sends no encrypted reasoning, and Agent Framework raises when it has to send some back."""
    api = ResponsesAPI([*reasoning(), *tool_call("count", '{"number": 2}')], text("Two."))
    call = await dial(models=foundry(api), tools=[count])
    assert (await call.says("Count")).text == "Two."
    used, returned = api.bodies[1]["input"][-2:]
    assert (used["type"], used["call_id"], used["arguments"]) == ("function_call", "call_1", '{"number": 2}')
    assert (returned["type"], returned["call_id"], returned["output"]) == ("function_call_output", "call_1", "2 cups")
    assert "reasoning" not in json.dumps(api.bodies[1]) and "fc_1" not in json.dumps(api.bodies[1])
    assert api.bodies[1]["structured_inputs"] == api.bodies[0]["structured_inputs"]
    turn = call.session.turn
    assert turn and isinstance(turn.record[1], m.ModelResponse) and turn.record[1].model_name == "first"


async def test_a_tool_call_of_the_service_itself_is_left_out(dial: Dial) -> None:
    theirs = {"id": "fco_1", "type": "function_call_output", "call_id": "theirs", "output": "7", "status": "completed"}
    api = ResponsesAPI([event("response.output_item.done", item=theirs), *text("Seven.")], text("Yes."))
    call = await dial(models=foundry(api), tools=[count])
    assert (await call.says("Count")).text == "Seven."
    await three_more_turns(call)
    assert "theirs" not in json.dumps(api.bodies)


@pytest.mark.parametrize("first", [500, 429, [response("failed")], []])
async def test_the_next_agent_answers_when_one_fails(first: Any, dial: Dial) -> None:
    down, up = ResponsesAPI(first), ResponsesAPI(text("Yes."))
    call = await dial(models=foundry(down, up))
    assert (await call.says("Hello")).text == "Yes."
    assert len(down.requests) == 1


async def test_the_version_in_the_environment_is_not_used_for_the_second_agent(
    dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUNDRY_AGENT_VERSION", "3")
    down, up = ResponsesAPI(500), ResponsesAPI(text("Yes."))
    call = await dial(models=foundry(down, up))
    await call.says("Hello")
    assert up.bodies[0]["agent_reference"] == {"type": "agent_reference", "name": "second"}


async def test_the_next_agent_answers_when_one_is_silent(
    dial: Dial, let_time_pass: Callable[[float], Awaitable[None]]
) -> None:
    down, up = ResponsesAPI([event("silence")]), ResponsesAPI(text("Yes."))
    call = await dial(models=foundry(down, up), deadline=DEADLINE)
    turn = await call.begins("Hello")
    await down.silent.wait()
    await let_time_pass(DEADLINE)
    assert (await call.hears_reply(turn)).text == f"{phrases.HOLD} Yes."


async def test_the_log_has_the_error_and_nothing_of_the_conversation(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial(models=foundry(ResponsesAPI(429)))
    assert (await call.says("my secret")).text == phrases.APOLOGY
    assert "RateLimitError 429" in logged() and "secret" not in logged()


# --- the definition ---------------------------------------------------------------------------------------------------


def test_the_definition_is_valid_for_the_service() -> None:
    made = definition("gpt-6-luna", [count])
    known = PromptAgentDefinition(made)
    assert known.structured_inputs and known.structured_inputs["instructions"].required
    assert known.instructions == "{{instructions}}" and known.tools
    assert known.tools[0].as_dict() == made["tools"][0]
    assert made["tools"][0]["parameters"]["properties"] == {"number": {"type": "integer"}}


def test_the_command_prints_every_tool() -> None:
    result = CliRunner().invoke(cli.app, ["foundry-agent", "gpt-6-luna"])
    silence_logs()
    printed = [each["name"] for each in json.loads(result.output)["definition"]["tools"]]
    of_capabilities = {"app.escalation": "transfer_to_human", "app.memory": "recall"}
    present = [tool for module, tool in of_capabilities.items() if importlib.util.find_spec(module)]
    assert {*(tool.__name__ for tool in load_tools()), *present} <= set(printed)


# --- settings ---------------------------------------------------------------------------------------------------------


def test_missing_variables_are_reported_with_the_fix(environment: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as error:
        load()
    project, agent, identity = error.value.problems
    assert project.startswith("FOUNDRY_PROJECT_ENDPOINT is missing. Copy") and "/api/projects/" in project
    assert agent.startswith("FOUNDRY_AGENT_NAME is missing. Write")
    assert identity.startswith("AZURE_TOKEN_CREDENTIALS is missing. Sign in with `az login`")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FOUNDRY_PROJECT_ENDPOINT", "https://example.services.ai.azure.com"),
        ("FOUNDRY_AGENT_NAME", "my agent"),
        ("FOUNDRY_AGENT_VERSION", "latest"),
        ("FOUNDRY_FALLBACK_AGENT", "second:latest"),
    ],
)
def test_invalid_variables_are_reported(environment: pytest.MonkeyPatch, name: str, value: str) -> None:
    environment.setenv("FOUNDRY_PROJECT_ENDPOINT", PROJECT)
    environment.setenv("FOUNDRY_AGENT_NAME", "first")
    environment.setenv("AZURE_TOKEN_CREDENTIALS", "prod")
    environment.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load()
    (problem,) = error.value.problems
    assert problem.startswith(f"{name} is {value!r}. ")


async def test_the_agents_of_the_environment_are_used_in_order(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("FOUNDRY_AGENT_NAME", "first")
    environment.setenv("FOUNDRY_AGENT_VERSION", "3")
    environment.setenv("FOUNDRY_FALLBACK_AGENT", "second:4")
    assert Foundry.model_names() == ["first:3", "second:4"]
    runtime = Foundry.build(defaults.settings(project_endpoint=PROJECT), Foundry.model_names())
    agents = [client for client in runtime.clients if isinstance(client, PromptAgent)]
    assert [(agent.agent_name, agent.agent_version) for agent in agents] == [("first", "3"), ("second", "4")]
    await runtime.warm_up()
    await runtime.close()
