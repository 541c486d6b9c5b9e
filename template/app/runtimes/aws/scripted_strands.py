"""A script as a model of Strands. The agent, its tools and its loop are the real ones."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

from pydantic_ai.models.function import FunctionModel
from strands.models.model import Model
from strands.types.content import Messages
from strands.types.event_loop import StopReason
from strands.types.streaming import StreamEvent
from strands.types.tools import ToolSpec

from app.runtimes.aws.messages import record_of
from kit.scripted_model import deltas


class ScriptedBedrock(Model):
    """Rejects roles that do not alternate, blank texts and tool calls without results, as Amazon Bedrock does."""

    def __init__(self, script: FunctionModel) -> None:
        self.script = script

    def update_config(self, **model_config: Any) -> None:
        raise NotImplementedError

    def get_config(self) -> Any:
        return {"model_id": self.script.model_name}

    def structured_output(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def stream(
        self,
        messages: Messages,
        tool_specs: list[ToolSpec] | None = None,
        system_prompt: str | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> AsyncGenerator[StreamEvent]:
        reject_like_bedrock(messages)
        tools = {spec["name"]: spec["inputSchema"]["json"] for spec in tool_specs or []}
        history = [record_of(message, "") for message in messages]
        yield {"messageStart": {"role": "assistant"}}
        speaking = False
        reason: StopReason = "end_turn"
        async for delta in deltas(self.script, history, tools, system_prompt):
            if isinstance(delta, str):
                if not speaking:
                    yield {"contentBlockStart": {"start": {}}}
                    speaking = True
                yield {"contentBlockDelta": {"delta": {"text": delta}}}
                continue
            if speaking:
                yield {"contentBlockStop": {}}
                speaking = False
            reason = "tool_use"
            use: Any = {"toolUseId": delta.tool_call_id, "name": delta.name}
            yield {"contentBlockStart": {"start": {"toolUse": use}}}
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": str(delta.json_args)}}}}
            yield {"contentBlockStop": {}}
        if speaking:
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": reason}}
        used: Any = {"inputTokens": 70, "outputTokens": 30, "totalTokens": 100}
        yield {"metadata": {"usage": used, "metrics": {"latencyMs": 1}}}


def reject_like_bedrock(messages: Any) -> None:
    """Raises ValueError where the Converse API answers with a ValidationException."""
    roles = [message["role"] for message in messages]
    if roles[:1] != ["user"] or any(one == next for one, next in zip(roles, roles[1:], strict=False)):
        raise ValueError(f"a conversation must begin with the user and alternate between the roles: {roles}")
    open_uses: set[str] = set()
    for message in messages:
        blocks = message["content"]
        if not blocks or any("text" in block and not block["text"].strip() for block in blocks):
            raise ValueError("the text of a content block is blank")
        results = {block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block}
        if results != open_uses:
            raise ValueError("every toolUse needs its toolResult in the next message")
        open_uses = {block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block}
        json.dumps(blocks)


def build_model(model: FunctionModel) -> ScriptedBedrock:
    """A script as a model of this runtime."""
    return ScriptedBedrock(model)
