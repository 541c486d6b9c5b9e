"""Calls with Strands: history, tools, failures, and the requests to Amazon Bedrock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from pydantic_ai import messages as m
from strands.models.model import Model
from strands.types.exceptions import ModelThrottledException

from app import config
from app.runtimes.aws.messages import bedrock_messages
from app.runtimes.aws.scripted_strands import reject_like_bedrock
from app.runtimes.strands import Strands
from app.runtimes.tests.interruptions import DEADLINE, InterruptedTurns, event_loop_runs, until
from app.session import this_session
from app.voice.phrases import phrases
from kit import defaults
from kit.voice_fixtures import Dial


class TestInterruptedTurns(InterruptedTurns):
    def check(self, history: Sequence[m.ModelMessage]) -> None:
        reject_like_bedrock(bedrock_messages(history))


async def test_roles_alternate_after_text_that_the_agent_said_by_itself(dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    await call.session.say("Are you still there?")
    await until(lambda: call.remarks)
    assert (await call.says("Yes")).text == "Yes."
    reject_like_bedrock(bedrock_messages(call.session.history))


async def test_no_token_is_printed(dial: Dial, capfd: pytest.CaptureFixture[str]) -> None:
    call = await dial({"says": "the secret of the caller"})
    await call.says("Tell me")
    assert "secret" not in "".join(capfd.readouterr())


class Throttled(Model):
    """A model without quota."""

    requests = 0

    def update_config(self, **model_config: Any) -> None: ...

    def get_config(self) -> Any:
        return {"model_id": "throttled"}

    def structured_output(self, *args: Any, **kwargs: Any) -> Any: ...

    async def stream(self, *args: Any, **kwargs: Any) -> AsyncGenerator[Any]:
        self.requests += 1
        raise ModelThrottledException("slow down")
        yield


async def test_a_throttled_model_is_not_retried(dial: Dial) -> None:
    model = Throttled()
    call = await dial(models=[model], deadline=30)
    assert (await call.says("Hello")).text == phrases.APOLOGY
    assert model.requests == 1


async def test_a_result_that_looks_like_a_result_of_strands_is_sent_unchanged(dial: Dial) -> None:
    def order() -> dict[str, str]:
        return {"status": "shipped", "content": "two cups"}

    call = await dial({"calls": {"order": {}}, "then": "It says {result}"}, tools=[order])
    assert (await call.says("order")).text == 'It says {"status": "shipped", "content": "two cups"}'


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
    assert "The tool failed (TimeoutError)" in (await call.hears_reply(turn)).text


async def test_a_blocking_tool_has_its_session_and_does_not_block_the_event_loop(dial: Dial) -> None:
    loop = asyncio.get_running_loop()

    def look_up() -> str:
        return f"{event_loop_runs(loop)} {this_session().caller}"

    call = await dial({"calls": {"look_up": {}}, "then": "{result}"}, tools=[look_up])
    assert (await call.says("look")).text.endswith(f"True {defaults.CALLER}")


# --- the real client of Amazon Bedrock, without network --------------------------------------------------------------


EVENTS = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"delta": {"text": "From "}, "contentBlockIndex": 0}},
    {"contentBlockDelta": {"delta": {"text": "Bedrock."}, "contentBlockIndex": 0}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "end_turn"}},
]


class Answer:
    status_code = 200
    headers: dict[str, str] = {}


def bedrock(requests: list[dict[str, Any]], **settings: Any) -> list[Any]:
    """The models of the settings. botocore checks each request and appends it to `requests` instead of sending it."""

    def hook(params: dict[str, Any], **_: Any) -> tuple[Answer, dict[str, Any]]:
        requests.append(params)
        return Answer(), {"stream": EVENTS}

    models: list[Any] = list(Strands.build(defaults.settings(**settings)).models)
    for model in models:
        model.client.meta.events.register("before-call.bedrock-runtime.ConverseStream", hook)
    return models


async def test_requests_go_to_the_configured_region(dial: Dial) -> None:
    requests: list[dict[str, Any]] = []
    call = await dial(models=bedrock(requests))
    assert (await call.says("Hello")).text == "From Bedrock."
    assert requests[0]["url"].startswith(f"https://bedrock-runtime.{config.REGION}.amazonaws.com/model/")


async def test_every_history_is_a_valid_request(dial: Dial) -> None:
    """With a tool, an interruption and text that the agent said by itself."""
    requests: list[dict[str, Any]] = []
    call = await dial(models=bedrock(requests), tools=[])
    session = call.session
    use = m.ToolCallPart("look_up", {"order": 7}, "use-1")
    session.history = [
        m.ModelResponse([m.TextPart("Are you there?")]),
        m.ModelRequest.user_text_prompt("Look up"),
        m.ModelResponse([m.TextPart(" "), use]),
        m.ModelRequest([m.ToolReturnPart("look_up", {"found": True}, "use-1")]),
        m.ModelRequest.user_text_prompt("Hello?"),
    ]
    assert (await call.says("And now?")).text == "From Bedrock."
    reject_like_bedrock(bedrock_messages(session.history))


async def test_guidance_is_sent_in_the_system_prompt_and_not_in_a_turn(dial: Dial) -> None:
    requests: list[dict[str, Any]] = []
    call = await dial(models=bedrock(requests))
    call.session.guidance.append("The caller likes tea.")
    await call.says("Hello")
    body = requests[0]["body"].decode()
    assert len(requests) == 1
    assert body.count("The caller likes tea.") == 1 and body.index("system") > 0
    assert "likes tea" not in body[body.index('"messages"') : body.index('"system"')]
