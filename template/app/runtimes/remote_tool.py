"""A function of this project as a tool for a model or an agent that runs in a service."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_ai import Tool
from pydantic_ai import messages as m

from app.runtimes import run_shielded, run_tool_safely, tool_of
from app.runtimes.streams import as_text, with_timeout
from app.turn import Turn


class RemoteTool:
    """A function that the model may call. It may take `limit` seconds; `schema` is the JSON schema of its arguments."""

    def __init__(self, function: Callable[..., Any], turn: Turn, limit: float) -> None:
        self.function = function
        self.turn = turn
        self.limit = limit
        self.tool: Tool[Any] = tool_of(function)
        self.name = self.tool.name
        self.description = self.tool.description or self.name
        self.schema: dict[str, Any] = self.tool.tool_def.parameters_json_schema

    async def call(self, arguments: Mapping[str, Any]) -> Any:
        """The result of the function, or a sentence for the model when the arguments are wrong."""
        try:
            valid = self.tool.function_schema.validator.validate_python(dict(arguments))
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)]
            return f"Wrong arguments. {'; '.join(wrong)}."
        return await with_timeout(self.limit, self.function, **valid)

    async def result(self, arguments: Mapping[str, Any], call_id: str) -> str:
        """The result as text. The function runs to its end; its failure becomes a sentence for the model."""

        async def text() -> str:
            return as_text(await run_tool_safely(self.name, self.call(arguments)))

        return str(await run_shielded(self.turn, call_id, text()))


async def run_tool(tools: Mapping[str, RemoteTool], call: m.ToolCallPart) -> m.ToolReturnPart:
    """The result of a tool call, by the tool's name."""
    tool = tools.get(call.tool_name)
    missing = f"There is no tool {call.tool_name} here."
    text = await tool.result(call.args_as_dict(), call.tool_call_id) if tool else missing
    return m.ToolReturnPart(call.tool_name, text, call.tool_call_id)
