"""The tools that a model has called, and what a scenario expects of the calls."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Annotated, Any, NamedTuple

from pydantic import BeforeValidator
from pydantic_ai import messages as m


class ToolCall(NamedTuple):
    """A call with the arguments that the model gave."""

    name: str
    arguments: dict[str, Any]


def calls_in(messages: Iterable[m.ModelMessage]) -> list[ToolCall]:
    """The tool calls in these messages, oldest first."""
    parts = [part for message in messages for part in message.parts]
    return [ToolCall(part.tool_name, part.args_as_dict()) for part in parts if isinstance(part, m.ToolCallPart)]


def are_calls(expected: Any) -> Any:
    """Arguments, a list of them, or a number. Raises ValueError."""
    each = expected if isinstance(expected, list) else [expected]
    if (type(expected) is int and expected >= 0) or all(isinstance(arguments, dict) for arguments in each):
        return expected
    raise ValueError("write the arguments of a call, a list of them for all calls in order, or how many calls")


ExpectedCalls = Annotated[Any, BeforeValidator(are_calls)]


def unmet(expected: Mapping[str, Any], calls: Iterable[ToolCall]) -> Iterator[str]:
    """One sentence for each tool that was not called as expected.

    By the name of a tool: arguments that one of its calls had, among others; a list of such for all of its calls in
    order; or how many calls there were.
    """
    for name, wanted in expected.items():
        given = [call.arguments for call in calls if call.name == name]
        if isinstance(wanted, int):
            met, rest = len(given) == wanted, f"{wanted} times"
        elif isinstance(wanted, list):
            met, rest = is_in(wanted, given), f"these calls: {wanted}"
        else:
            met, rest = any(is_in(wanted, each) for each in given), f"a call with {wanted}"
        if not met:
            yield f"{name} was called {len(given)} times{f' ({given})' if given else ''}, expected: {rest}"


def is_in(wanted: Any, given: Any) -> bool:
    """True if `given` has every field that `wanted` has. Texts ignore case; numbers and JSON may be given as text."""
    if isinstance(wanted, dict | list) and isinstance(given, str):
        with suppress(ValueError):
            given = json.loads(given)
    if isinstance(wanted, dict) and isinstance(given, dict):
        return all(name in given and is_in(value, given[name]) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(given, list):
        return len(wanted) == len(given) and all(map(is_in, wanted, given))
    numbers_or_texts = {type(wanted), type(given)} <= {str, int, float}
    return wanted == given or (numbers_or_texts and str(wanted).lower() == str(given).lower())
