"""`agent action-group`: the tools of this server as an action group of the agent in Amazon Bedrock."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import typer

from app.runtimes.tool_schemas import all_tools

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_Function.html and API_agent_ParameterDetail.html
NAME = re.compile(r"([0-9a-zA-Z][_-]?){1,100}")
TYPES = {"string", "number", "integer", "boolean", "array"}
PARAMETERS = 5  # most of a function, unless AWS has raised your quota
FUNCTION_TEXT, PARAMETER_TEXT = 1200, 500  # characters


def action_group() -> None:
    """Print your tools as the function schema of a Bedrock agent's action group."""
    typer.echo(json.dumps(function_schema(all_tools()), indent=2, ensure_ascii=False))


def function_schema(tools: Sequence[Callable[..., Any]]) -> dict[str, Any]:
    """`functionSchema` of CreateAgentActionGroup. Writes what the service would refuse to stderr."""
    from pydantic_ai import Tool

    functions = []
    for tool in tools:
        definition = Tool(tool).tool_def
        schema = definition.parameters_json_schema
        required, properties = schema.get("required", []), schema.get("properties", {})
        parameters = {name: parameter(value, name in required) for name, value in properties.items()}
        wrong = [name for name, value in parameters.items() if value["type"] not in TYPES]
        for problem in (
            f"its name is not {NAME.pattern}" if not NAME.fullmatch(definition.name) else "",
            f"it takes {len(parameters)} arguments, more than {PARAMETERS}" if len(parameters) > PARAMETERS else "",
            f"{', '.join(wrong)} must be text, a number, a truth value or a list" if wrong else "",
        ):
            if problem:
                typer.secho(f"{definition.name}: {problem}.", fg="red", err=True)
        functions.append(
            {
                "name": definition.name,
                "description": (definition.description or definition.name)[:FUNCTION_TEXT],
                "parameters": parameters,
            }
        )
    return {"functions": functions}


def parameter(schema: dict[str, Any], required: bool) -> dict[str, Any]:
    """One argument. It is not required if it has a default or may be null; choices become part of the description."""
    types = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    choices = f"One of: {', '.join(map(str, types[0]['enum']))}." if "enum" in types[0] else ""
    text = " ".join(filter(None, [schema.get("description", ""), choices]))[:PARAMETER_TEXT]
    described = {"description": text} if text else {}
    return {"type": types[0].get("type", "object"), "required": required, **described}


COMMANDS = [action_group]
