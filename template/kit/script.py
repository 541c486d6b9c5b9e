"""Run a scripted model without the agent loop of pydantic-ai, for runtimes that have their own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from pydantic_ai.messages import ModelMessage
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel
from pydantic_ai.tools import ToolDefinition


async def deltas(
    script: FunctionModel,
    messages: Sequence[ModelMessage],
    tools: Mapping[str, Mapping[str, Any]],
    instructions: str | None = None,
) -> AsyncIterator[str | DeltaToolCall]:
    """The script's text and tool calls. `tools` has the JSON schemas of arguments by tool name."""
    known = [ToolDefinition(name=name, parameters_json_schema=dict(schema)) for name, schema in tools.items()]
    info = AgentInfo(
        function_tools=known,
        allow_text_output=True,
        output_tools=[],
        model_settings=None,
        model_request_parameters=ModelRequestParameters(),
        instructions=instructions,
    )
    assert script.stream_function
    async for delta in script.stream_function(list(messages), info):
        if isinstance(delta, str):
            yield delta
            continue
        for call in delta.values():
            assert isinstance(call, DeltaToolCall)
            yield call
