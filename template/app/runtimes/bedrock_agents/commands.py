"""`agent action-group`: the tools of this server as an action group of the agent in Amazon Bedrock."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import typer

from app.runtimes import tool_of
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
    functions = []
    for tool in tools:
        definition = tool_of(tool).tool_def
        schema = definition.parameters_json_schema
        required, properties = schema.get("required", []), schema.get("properties", {})
        parameters = {name: parameter(value, name in required) for name, value in properties.items()}
        long = [name for name, value in parameters.items() if len(value.get("description", "")) > PARAMETER_TEXT]
        for problem in (
            f"its name is not {NAME.pattern}" if not NAME.fullmatch(definition.name) else "",
            f"it takes {len(parameters)} arguments, more than {PARAMETERS}" if len(parameters) > PARAMETERS else "",
            f"{', '.join(long)} takes more than {PARAMETER_TEXT} characters to describe" if long else "",
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
    """One argument. It is not required if it has a default or may be null; choices become part of the description.

    What the service has no type for is text: JSON, whose schema becomes part of the description.
    """
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    kind = kinds[0] if len(kinds) == 1 else {}
    choices = kind.get("enum", [kind["const"]] if "const" in kind else [])
    texts = [schema.get("description", ""), f"One of: {', '.join(map(str, choices))}." if choices else ""]
    known = kind.get("type") in TYPES and kind.get("items", {}).get("type", "string") in TYPES - {"array"}
    if not known:
        bare = {key: value for key, value in schema.items() if key not in ("description", "default", "title")}
        texts.append(f"JSON: {json.dumps(bare)}" if bare else "")
    text = " ".join(filter(None, texts))
    return {
        "type": kind["type"] if known else "string",
        "required": required,
        **({"description": text} if text else {}),
    }


COMMANDS = [action_group]
