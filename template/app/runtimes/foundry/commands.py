"""`agent foundry-agent`: the definition of a prompt agent that this server can work with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from app.runtimes import tool_of
from app.runtimes.tool_schemas import all_tools


def foundry_agent(
    deployment: Annotated[str, typer.Argument(help="The name of a model's deployment in your Foundry project.")],
) -> None:
    """Print the definition of a prompt agent with your tools: a request body for the API of Microsoft Foundry."""
    typer.echo(json.dumps({"definition": definition(deployment, all_tools())}, indent=2, ensure_ascii=False))


def definition(deployment: str, tools: Sequence[Callable[..., Any]]) -> dict[str, Any]:
    """A PromptAgentDefinition. The server sends the instructions with every request."""
    schemas = [tool_of(tool).tool_def for tool in tools]
    return {
        "kind": "prompt",
        "model": deployment,
        "instructions": "{{instructions}}",
        "structured_inputs": {
            "instructions": {
                "description": "The instructions of the turn: the prompt of the server, and facts about the caller.",
                "schema": {"type": "string"},
                "required": True,
            }
        },
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description or tool.name,
                "parameters": tool.parameters_json_schema,
                "strict": False,
            }
            for tool in schemas
        ],
    }


COMMANDS = [foundry_agent]
