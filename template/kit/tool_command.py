"""`/tool` of `agent call` and `agent text`: a script calls a tool, through the runtime, as a model would."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from typing import Any

from fastapi import FastAPI

from app.registry import RUNTIME
from app.runtimes import Runtime, tool_of
from app.session import Session
from app.settings import Settings
from app.turn import Turn
from kit.scripted_model import TOOL_COMMAND, arguments_for, echo_model, names_in
from kit.tool_stubs import no_such_tool, tools_of

KINDS = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
EXAMPLES = 2
ANY = {*KINDS.values(), "null"}
HELP = "/tool          list the tools; /tool name argument=value calls one, as the model would"


async def user_text(app: FastAPI, session: Session, typed: str) -> str:
    """The text that makes the script call a tool. `typed` is its name and arguments, as in `book time=9:30 count=2`.

    Raises ValueError with the lines for the person who typed: the tools, or what is wrong.
    """
    tools = {tool.__name__: tool for tool in await tools_of(app, session)}
    name, _, given = typed.partition(" ")
    if not name:
        raise ValueError("\n".join(map(usage, tools.values())) or "This agent has no tools.")
    if name not in tools:
        raise ValueError(f"Not called: {no_such_tool(name, tools)}.")
    return f"/tool {name} {json.dumps(arguments(tools[name], given), ensure_ascii=False)}"


def arguments(tool: Callable[..., Any], given: str) -> dict[str, Any]:
    """Arguments of the types that the tool takes; the runtime says what is wrong with a value. Raises ValueError."""
    schema = tool_of(tool).tool_def.parameters_json_schema
    properties = schema.get("properties", {})
    names = "|".join(map(re.escape, properties)) if schema.get("additionalProperties") is False else r"\w+"
    before, *parts = re.split(rf"(?:^|\s+)({names})=", f" {given}") if names else [given]
    if before.strip():
        raise ValueError(f"Not called: {before.strip()!r} is no argument; write {usage(tool)}")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {name: value_of(text.strip(), kinds(properties.get(name, {}), schema)) for name, text in pairs}


def value_of(text: str, allowed: set[str]) -> Any:
    """JSON, if the argument may be of its type; else the text."""
    with suppress(ValueError):
        value = json.loads(text)
        own = {KINDS.get(type(value), "null")} | ({"number"} if type(value) is int else set())
        if own & allowed:
            return value
    return text


def kinds(part: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """The types of JSON that a part of `schema` allows."""
    if "$ref" in part:
        return kinds(schema["$defs"][part["$ref"].rpartition("/")[2]], schema)
    if choices := part.get("anyOf") or part.get("oneOf") or part.get("allOf"):
        return {kind for each in choices for kind in kinds(each, schema)}
    found = part.get("type", ANY)
    return {found} if isinstance(found, str) else set(found)


def usage(tool: Callable[..., Any]) -> str:
    """For example `/tool book time=string [count=integer]`."""
    schema = tool_of(tool).tool_def.parameters_json_schema
    taken = {
        name: f"{name}={'|'.join(sorted(found))}"
        if (found := kinds(part, schema) - {"null"}) < ANY - {"null"}
        else name
        for name, part in schema.get("properties", {}).items()
    }
    required = schema.get("required", [])
    return " ".join(
        ["/tool", tool.__name__, *(text if name in required else f"[{text}]" for name, text in taken.items())]
    )


def hint(tools: Sequence[Callable[..., Any]]) -> str:
    """How the script of a terminal calls tools, with an example for those that it can call by their names."""
    examples, taken = [], set[str]()
    for tool in tools:
        schema, names = tool_of(tool).tool_def.parameters_json_schema, names_in(tool.__name__)
        required = schema.get("required", [])
        own = [name for name in names if name not in taken]
        taken.update(names)
        numbers = " ".join(str(4711 + number) for number in range(len(required)))
        if own and all(
            kinds(schema["properties"][name], schema) & {"string", "integer", "number"} for name in required
        ):
            assert arguments_for(schema, numbers) is not None
            examples.append(f'"{f"{own[0]} {numbers}".strip()}" calls {tool.__name__}')
    by_name = "The script calls a tool when it reads its name and a number for each argument: "
    shown = f"{by_name}{', '.join(examples[:EXAMPLES])}. " if examples else ""
    return f"{shown}/tool lists the tools, and calls any of them with any argument."


def answer_by_script(app: FastAPI, settings: Settings) -> Runtime:
    """Let a script answer the texts of `user_text`, and the runtime of the app all others. Returns the script's."""
    runtime, script = app.state.brain.runtime, RUNTIME.build(settings, [echo_model()])
    answer_by_model = runtime.answer

    def answer(
        session: Session, turn: Turn, instructions: str, tools: Sequence[Callable[..., Any]]
    ) -> AsyncGenerator[str]:
        by_script = TOOL_COMMAND.fullmatch(turn.user_text)
        return (script.answer if by_script else answer_by_model)(session, turn, instructions, tools)

    setattr(runtime, "answer", answer)  # noqa: B010 (a method is not assigned to)
    return script
