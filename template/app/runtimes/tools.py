"""A function of this project as a tool of one turn: the same schema, checks and results on every runtime."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from inspect import (
    Parameter,
    Signature,
    formatannotation,
    isasyncgenfunction,
    isawaitable,
    iscoroutinefunction,
    isgeneratorfunction,
    unwrap,
)
from types import FrameType, FunctionType
from typing import Any

from pydantic import PydanticSchemaGenerationError, PydanticUserError, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_ai import ModelRetry, Tool
from pydantic_ai import messages as m
from typing_extensions import Format, get_annotations

from app.event_loop import Deadline
from app.history import clean, clean_json
from app.runtimes import known_tools, run_shielded, run_tool_safely, threads, tool_of
from app.turn import Turn

NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what OpenAI, Anthropic and Amazon Bedrock accept
SUITABLE = (
    "Take str, int, float, bool, date, Literal, an Enum, a list or dict of these, a dataclass or a pydantic model."
)


class TurnTool:
    """A function that the model may call. It may take `limit` seconds; `schema` is the JSON schema of its arguments."""

    def __init__(self, function: Callable[..., Any], turn: Turn, limit: float) -> None:
        self.function = function
        self.turn = turn
        self.limit = limit
        self.tool = tool_of(function)
        self.definition = self.tool.tool_def
        self.name = self.definition.name
        self.description = self.definition.description or self.name
        self.schema: dict[str, Any] = self.definition.parameters_json_schema

    def validate(self, arguments: str | Mapping[str, Any]) -> dict[str, Any]:
        """The arguments, as JSON or parsed, in the types of the annotations. Raises ModelRetry for wrong ones."""
        validator = self.tool.function_schema.validator
        text = arguments if isinstance(arguments, str) else json.dumps(clean(arguments))
        given = clean_json(text, self.turn.filtered) or "{}"
        try:
            try:
                valid: dict[str, Any] = validator.validate_json(given)
            except ValidationError as error:
                valid = validator.validate_json(with_decoded(given, error))
        except ValidationError as error:
            found = error.errors()
            wrong = [": ".join(filter(None, [".".join(map(str, each["loc"])), each["msg"]])) for each in found]
            raise ModelRetry(f"Wrong arguments. {'; '.join(wrong)}.") from None
        return valid

    async def result(self, arguments: str | Mapping[str, Any], call_id: str | None) -> Any:
        """The result as JSON data, or a sentence for the model. The function runs to its end."""
        work = self.turn.observed(f"tool {self.name}", work=self._run(self._call(arguments, call_id)))
        return await run_shielded(self.turn, call_id, work)

    async def _run(self, call: Awaitable[Any]) -> Any:
        return await run_tool_safely(self.name, call, self.turn.filtered)

    async def _call(self, arguments: str | Mapping[str, Any], call_id: str | None) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return await with_timeout(self.limit, self.function, *args, **kwargs)
            except StillRunning as error:
                if call_id:
                    self.turn.late[call_id] = asyncio.ensure_future(self._run(error.result))
                raise TimeoutError from None

        schema: Any = replace(self.tool.function_schema, function=call, is_async=True)
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


def tool_in(frame: FrameType | None) -> str | None:
    """The name of the tool that runs in a stack."""
    names = {code: tool.name for (code, *_), tool in list(known_tools.items())}
    while frame and frame.f_code not in names:
        frame = frame.f_back
    return names[frame.f_code] if frame else None


def tool_problems(tools: Sequence[Callable[..., Any]]) -> list[str]:
    """One line for each tool that no model can be offered: the tool, what is wrong, and the fix."""
    twice = [name for name, times in Counter(tool.__name__ for tool in tools).items() if times > 1]
    return [
        *filter(None, map(tool_problem, tools)),
        *(f"Two tools are called {name}. Rename one, or begin the name of what is no tool with _." for name in twice),
    ]


def tool_problem(function: Callable[..., Any]) -> str | None:
    """Why no model can be offered this function as a tool, in one line; None if it can."""
    where = f"{function.__module__}.{function.__name__}"
    try:
        tool = tool_of(function)
    except Exception as error:
        for name, annotation in get_annotations(function, format=Format.FORWARDREF).items():
            try:
                Tool(with_one_parameter(function, name, annotation))
            except Exception as cause:
                part = "the result" if name == "return" else f"the parameter {name}"
                kind = formatannotation(annotation).strip("'")
                return f"{where}: {part} has a type without a JSON schema ({kind}). {fix_of(cause)}"
        return f"{where} cannot be a tool ({str(error).splitlines()[0]}). {SUITABLE}"
    if isgeneratorfunction(unwrap(function)) or isasyncgenfunction(unwrap(function)):
        return f"{where} yields. Return a list instead: a model reads one result."
    if tool.takes_ctx:
        return f"{where}: its RunContext is of one runtime only. Take this_session() of app instead."
    names = [function.__name__, *tool.function_schema.json_schema.get("properties", {})]
    wrong = [name for name in names if not NAME.fullmatch(name)]
    return f"{where}: models refuse the name {wrong[0]!r}. Take 1 to 64 of A-Z, a-z, 0-9 and _." if wrong else None


def with_one_parameter(function: Callable[..., Any], name: str, annotation: Any) -> Callable[..., Any]:
    """A function with the annotation of one parameter of `function`, or of its result."""
    probe = FunctionType((lambda: None).__code__, unwrap(function).__globals__, function.__name__)
    probe.__annotations__ = {name: annotation}
    parameters = [] if name == "return" else [Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation)]
    probe.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return probe


def fix_of(error: Exception) -> str:
    if isinstance(error, NameError):
        return f"{error.name} is not known when the server runs: define it, or import it outside of TYPE_CHECKING."
    own = not isinstance(error, PydanticSchemaGenerationError | PydanticInvalidForJsonSchema)
    return str(error).splitlines()[0] if own and isinstance(error, PydanticUserError) else SUITABLE


class StillRunning(TimeoutError):
    """A thread cannot be stopped: `result` comes later."""

    def __init__(self, result: asyncio.Future[Any]) -> None:
        self.result = result


async def with_timeout(limit: float, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a tool's function; one that is not async runs in a thread. Raises TimeoutError after `limit` seconds."""
    result: Any = None
    try:
        async with Deadline(limit):
            if iscoroutinefunction(function):
                return await function(*args, **kwargs)
            call = partial(copy_context().run, without_generator_exceptions, function, *args, **kwargs)
            result = asyncio.get_running_loop().run_in_executor(threads, call)
            returned = await asyncio.shield(result)
            return await returned if isawaitable(returned) else returned
    except TimeoutError:
        if result and not result.done():
            raise StillRunning(result) from None
        raise


def without_generator_exceptions(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a function. Its StopIteration or GeneratorExit becomes a RuntimeError, since generators use them."""
    try:
        return function(*args, **kwargs)
    except (StopIteration, GeneratorExit) as error:
        raise RuntimeError from error


async def run_tool(tools: Mapping[str, TurnTool], call: m.ToolCallPart) -> m.ToolReturnPart:
    """The result of a tool call, by the tool's name."""
    tool = tools.get(call.tool_name)
    missing = f"There is no tool {call.tool_name} here."
    result = await tool.result(call.args or "", call.tool_call_id) if tool else missing
    return m.ToolReturnPart(call.tool_name, result, call.tool_call_id)
