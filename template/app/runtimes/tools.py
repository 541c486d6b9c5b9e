"""A function of this project as a tool of one turn: the same schema, checks and results on every runtime."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from pydantic import ValidationError
from pydantic_ai import ModelRetry
from pydantic_ai import messages as m

from app.runtimes import run_shielded, run_tool_safely, threads, tool_of
from app.turn import Turn


class TurnTool:
    """A function that the model may call. It may take `limit` seconds; `schema` is the JSON schema of its arguments."""

    def __init__(self, function: Callable[..., Any], turn: Turn, limit: float) -> None:
        self.function = function
        self.turn = turn
        self.limit = limit
        self.definition = tool_of(function).tool_def
        self.name = self.definition.name
        self.description = self.definition.description or self.name
        self.schema: dict[str, Any] = self.definition.parameters_json_schema

    def validate(self, arguments: str | Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, as JSON or parsed, in the types of the annotations. Raises ModelRetry for wrong ones."""
        validator = tool_of(self.function).function_schema.validator
        given = (arguments if isinstance(arguments, str) else json.dumps(arguments)) or "{}"
        try:
            try:
                valid: dict[str, Any] = validator.validate_json(given)
            except ValidationError as error:
                valid = validator.validate_json(with_decoded(given, error))
        except ValidationError as error:
            found = error.errors(include_url=False, include_input=False)
            wrong = [": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"]])) for each in found]
            raise ModelRetry(f"Wrong arguments. {'; '.join(wrong)}.") from None
        return valid

    async def result(self, arguments: str | Mapping[str, Any], call_id: str | None) -> Any:
        """The result as JSON data, or a sentence for the model. The function runs to its end."""
        return await run_shielded(self.turn, call_id, run_tool_safely(self.name, self._call(arguments)))

    async def _call(self, arguments: str | Mapping[str, Any]) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return await with_timeout(self.limit, self.function, *args, **kwargs)

        schema: Any = replace(tool_of(self.function).function_schema, function=call, is_async=True)
        return await schema.call(self.validate(arguments), None)  # there is no RunContext: tools have this_session()


def with_decoded(arguments: str, error: ValidationError) -> str:
    """The arguments; a wrong one that is an object, a list or null as text is decoded, since some models send it so."""
    wrong = {each["loc"][0] for each in error.errors() if each["loc"]}
    given: Any = json.loads(arguments) if wrong else None
    for name, value in given.items() if isinstance(given, dict) else ():
        with suppress(ValueError, TypeError):
            if name in wrong and not isinstance(decoded := json.loads(value), str | int | float):
                given[name] = decoded
    return json.dumps(given) if given else arguments


async def with_timeout(limit: float, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a tool's function; one that is not async runs in a thread. Raises TimeoutError after `limit` seconds."""
    async with asyncio.timeout(limit):
        if iscoroutinefunction(function):
            return await function(*args, **kwargs)
        call = partial(copy_context().run, without_stop_iteration, function, *args, **kwargs)
        result = await asyncio.get_running_loop().run_in_executor(threads, call)
        return await result if isawaitable(result) else result


def without_stop_iteration(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function. Its StopIteration becomes a RuntimeError: Python 3.11 cannot hand it over to the event loop."""
    try:
        return function(*args, **kwargs)
    except StopIteration as error:
        raise RuntimeError from error


async def run_tool(tools: Mapping[str, TurnTool], call: m.ToolCallPart) -> m.ToolReturnPart:
    """The result of a tool call, by the tool's name."""
    tool = tools.get(call.tool_name)
    missing = f"There is no tool {call.tool_name} here."
    result = await tool.result(call.args or "", call.tool_call_id) if tool else missing
    return m.ToolReturnPart(call.tool_name, result, call.tool_call_id)
