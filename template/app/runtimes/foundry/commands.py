"""`agent foundry-agent`: the definition of a prompt agent that this server can work with."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from app.runtimes.tool_schemas import offered


def foundry_agent(
    deployment: Annotated[str, typer.Argument(help="The name of a model's deployment in your Foundry project.")],
) -> None:
    """Print a prompt agent for Microsoft Foundry that knows your tools: a body for its API."""
    typer.echo(json.dumps({"definition": definition(deployment, offered())}, indent=2, ensure_ascii=False))


def definition(deployment: str, tools: Sequence[Callable[..., Any]]) -> dict[str, Any]:
    """A PromptAgentDefinition. This server fills in the instructions with every question."""
    from pydantic_ai import Tool

    known = [Tool(tool).tool_def for tool in tools]
    return {
        "kind": "prompt",
        "model": deployment,
        "instructions": "{{instructions}}",
        "structured_inputs": {
            "instructions": {
                "description": "What the server tells the agent: its prompt, and what is known of the caller.",
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
            for tool in known
        ],
    }


COMMANDS = [foundry_agent]
