"""`agent action-group`: what the agent in Amazon Bedrock must know of the tools here, for its action group."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from fastapi import FastAPI

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_Function.html and API_agent_ParameterDetail.html
NAME = re.compile(r"([0-9a-zA-Z][_-]?){1,100}")
TYPES = {"string", "number", "integer", "boolean", "array"}
PARAMETERS = 5  # what a function may have, unless AWS has raised your quota
FUNCTION_TEXT, PARAMETER_TEXT = 1200, 500  # characters


def action_group() -> None:
    """Print your tools as the function schema of a Bedrock agent's action group, which has to know them."""
    from app.main import create_app
    from ops.log import configure_logging
    from sim import world
    from sim.features import Cloud
    from sim.model import understudy

    configure_logging("error")
    app = create_app(world.settings(), [understudy()], transport=Cloud().transport)
    typer.echo(json.dumps(function_schema(asyncio.run(offered(app))), indent=2, ensure_ascii=False))


async def offered(app: FastAPI) -> list[Callable[..., Any]]:
    """The tools of `agent/tools.py`, and those that the capabilities have for a call."""
    from app.capability import each
    from app.session import Session
    from sim.world import CALLED, CALLER

    brain = app.state.conversations.brain
    session = Session("CA", CALLER, CALLED, "en-US", lambda: datetime.now(UTC))
    async with app.router.lifespan_context(app):
        await each(brain.capabilities, "on_start", session)
        extra = [tool for tools in await each(brain.capabilities, "tools", session) for tool in tools]
    own = {tool.__name__ for tool in brain.tools}
    return [*brain.tools, *(tool for tool in extra if tool.__name__ not in own)]


def function_schema(tools: Sequence[Callable[..., Any]]) -> dict[str, Any]:
    """`functionSchema` of CreateAgentActionGroup. Says on stderr what the service would refuse."""
    from pydantic_ai import Tool

    functions = []
    for tool in tools:
        known = Tool(tool).tool_def
        schema = known.parameters_json_schema
        required, properties = schema.get("required", []), schema.get("properties", {})
        parameters = {name: parameter(value, name in required) for name, value in properties.items()}
        wrong = [name for name, value in parameters.items() if value["type"] not in TYPES]
        for problem in (
            f"its name is not {NAME.pattern}" if not NAME.fullmatch(known.name) else "",
            f"it takes {len(parameters)} arguments, more than {PARAMETERS}" if len(parameters) > PARAMETERS else "",
            f"{', '.join(wrong)} must be text, a number, a truth value or a list" if wrong else "",
        ):
            if problem:
                typer.secho(f"{known.name}: {problem}.", fg="red", err=True)
        functions.append(
            {
                "name": known.name,
                "description": (known.description or known.name)[:FUNCTION_TEXT],
                "parameters": parameters,
            }
        )
    return {"functions": functions}


def parameter(schema: dict[str, Any], required: bool) -> dict[str, Any]:
    """One argument. What may be left out or null is not required; a choice is described in words."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    choices = f"One of: {', '.join(map(str, kinds[0]['enum']))}." if "enum" in kinds[0] else ""
    text = " ".join(filter(None, [schema.get("description", ""), choices]))[:PARAMETER_TEXT]
    described = {"description": text} if text else {}
    return {"type": kinds[0].get("type", "object"), "required": required, **described}
