"""Models without a key: one follows a script, one echoes and calls the tools that it recognises."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any
from uuid import uuid4

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_ai import messages as m
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.tools import ToolDefinition

from kit.conventions import build_model

WORD_DELAY = 0.02  # seconds between the words of echo_model
WORD = re.compile(r"\S+\s*")
TOOL_COMMAND = re.compile(r"/tool (\w+) (\{.*\})", re.DOTALL)  # makes echo_model call a tool; see tool_command.py


def compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return pattern


Pattern = Annotated[str, AfterValidator(compiles)]


class Rule(BaseModel):
    """A reply of the scripted model. The first rule whose `hears` matches is used."""

    model_config = ConfigDict(extra="forbid")

    hears: Pattern = Field("", description="a regular expression, searched in the user text")
    says: str = Field("", description="spoken at once")
    calls: dict[str, dict[str, Any]] = Field({}, description="tool name: arguments")
    then: str = Field("{result}", description="spoken after the tools; {result} is what they returned")
    delay: float = Field(0.0, description="seconds before the first word")
    word_delay: float = Field(0.0, description="seconds between words")
    fails: bool = Field(False, description="the provider answers with an error")
    hangs: bool = Field(False, description="the provider never answers")
    breaks_off: bool = Field(False, description="the provider fails after the last word of `says`")


class ModelDown(Exception):
    """An error of the provider, from a script."""


def scripted(*rules: Rule | dict[str, Any]) -> Any:
    """A model that follows `rules`. Raises ModelDown for a user text that no rule matches."""
    script = [rule if isinstance(rule, Rule) else Rule.model_validate(rule) for rule in rules]
    patterns = [re.compile(rule.hears, re.IGNORECASE) for rule in script]

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        user_text, results = last_exchange(messages)
        rule = next((rule for rule, hears in zip(script, patterns, strict=True) if hears.search(user_text)), None)
        if rule is None:
            raise ModelDown(f"the script has no rule for {user_text!r}")
        await asyncio.sleep(rule.delay)
        if rule.hangs:
            await asyncio.Event().wait()
        if rule.fails:
            raise ModelDown("scripted failure")
        if rule.calls and not results:
            for word in words(rule.says):
                yield word
                await asyncio.sleep(rule.word_delay)
            yield tool_calls(rule.calls)
            return
        text = rule.then.replace("{result}", " ".join(results)) if results else rule.says
        for word in words(text):
            yield word
            await asyncio.sleep(rule.word_delay)
        if rule.breaks_off:
            raise ModelDown("scripted failure in the middle of a reply")

    return build_model(FunctionModel(stream_function=stream, model_name="scripted"))


async def deltas(
    script: FunctionModel,
    messages: Sequence[m.ModelMessage],
    tools: Mapping[str, Mapping[str, Any]],
    instructions: str | None = None,
) -> AsyncIterator[str | DeltaToolCall]:
    """Text and tool calls of a script without the agent loop of pydantic-ai, for runtimes that have their own.

    `tools` has the JSON schemas of arguments by tool name.
    """
    definitions = [ToolDefinition(name=name, parameters_json_schema=dict(schema)) for name, schema in tools.items()]
    info = AgentInfo(
        function_tools=definitions,
        allow_text_output=True,
        output_tools=[],
        model_settings=None,
        model_request_parameters=ModelRequestParameters(),
        instructions=instructions,
    )
    assert script.stream_function
    async for delta in script.stream_function(list(messages), info):
        if isinstance(delta, str):
            yield delta
            continue
        for call in delta.values():
            assert isinstance(call, DeltaToolCall)
            yield call


def echo_model() -> Any:
    """The model of the terminal without a key: it echoes the user text, or calls a tool that the text names.

    A text that matches TOOL_COMMAND calls that tool with exactly these arguments.
    """

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str | dict[int, DeltaToolCall]]:
        user_text, results = last_exchange(messages)
        if results:
            for word in words(" ".join(results).strip() or "The tool returned nothing."):
                yield word
                await asyncio.sleep(WORD_DELAY)
            return
        if command := TOOL_COMMAND.fullmatch(user_text):
            yield tool_calls({command[1]: json.loads(command[2])})
            return
        for tool in info.function_tools:
            arguments = arguments_for(tool.parameters_json_schema, user_text)
            if arguments is not None and set(names_in(tool.name)) & set(re.findall(r"[a-z]+", user_text.lower())):
                yield tool_calls({tool.name: arguments})
                return
        for word in words(
            f'I heard "{user_text}". I am only a script: with a model key in the environment a real model answers.'
        ):
            yield word
            await asyncio.sleep(WORD_DELAY)

    return build_model(FunctionModel(stream_function=stream, model_name="echo_model"))


def names_in(tool_name: str) -> list[str]:
    """The words of a tool's name by which `echo_model` recognises it."""
    return re.findall(r"[a-z]{4,}", tool_name)


def arguments_for(schema: dict[str, Any], user_text: str) -> dict[str, Any] | None:
    """Arguments from the numbers in the user text, or None if there are too few."""
    found = re.findall(r"\d[\d-]*", user_text)
    required = schema.get("required", [])
    if len(found) < len(required):
        return None
    kinds = {name: schema["properties"][name].get("type", "string") for name in required}
    return {
        name: int(value.replace("-", "")) if kinds[name] == "integer" else value
        for name, value in zip(required, found, strict=False)
    }


def last_exchange(messages: list[m.ModelMessage]) -> tuple[str, list[str]]:
    """The last user text, and the results of tools since."""
    user_text = ""
    results: list[str] = []
    for part in (part for message in messages if isinstance(message, m.ModelRequest) for part in message.parts):
        if isinstance(part, m.UserPromptPart):
            user_text, results = str(part.content), []
        elif isinstance(part, m.ToolReturnPart | m.RetryPromptPart):
            results.append(part.content if isinstance(part.content, str) else json.dumps(part.content, default=str))
    return user_text, results


def tool_calls(calls: dict[str, dict[str, Any]]) -> dict[int, DeltaToolCall]:
    return {
        index: DeltaToolCall(name=name, json_args=json.dumps(arguments), tool_call_id=f"call_{uuid4().hex}")
        for index, (name, arguments) in enumerate(calls.items(), start=1)
    }


def words(text: str) -> list[str]:
    return WORD.findall(text) or [text]
