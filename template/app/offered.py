"""The tools that a model elsewhere calls and this server runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_ai import Tool
from pydantic_ai import messages as m

from app.brain import Turn
from app.runtime import as_text, attempt, finished, within


class Offered:
    """A function that the model may call. `limit` is how long, in seconds, it may take."""

    def __init__(self, function: Callable[..., Any], turn: Turn, limit: float) -> None:
        self.function = function
        self.turn = turn
        self.limit = limit
        self.tool: Tool[Any] = Tool(function)

    @property
    def name(self) -> str:
        return self.tool.name

    @property
    def description(self) -> str:
        return self.tool.description or self.tool.name

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments."""
        return self.tool.tool_def.parameters_json_schema

    async def call(self, arguments: Mapping[str, Any]) -> Any:
        try:
            known = self.tool.function_schema.validator.validate_python(dict(arguments))
        except ValidationError as error:
            wrong = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False)]
            return f"Wrong arguments. {'; '.join(wrong)}."
        return await within(self.limit, self.function, **known)

    async def result(self, call: m.ToolCallPart) -> str:
        async def text() -> str:
            return as_text(await attempt(call.tool_name, self.call(call.args_as_dict())))

        return str(await finished(self.turn, call.tool_call_id, text()))


async def result(offered: Mapping[str, Offered], call: m.ToolCallPart) -> m.ToolReturnPart:
    """What a call has returned, as a sentence if nobody could answer it."""
    tool = offered.get(call.tool_name)
    text = await tool.result(call) if tool else f"There is no tool {call.tool_name} here."
    return m.ToolReturnPart(call.tool_name, text, call.tool_call_id)
