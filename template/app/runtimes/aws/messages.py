"""Messages in the shape of Amazon Bedrock's Converse API, which Strands uses too, and back.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_ai import RequestUsage
from pydantic_ai import messages as m

from app.history import arguments_of, clean, tool_name
from app.runtimes.streams import as_text
from app.runtimes.tools import TurnTool

CALL_BEGAN = "(The call has begun.)"


def bedrock_messages(history: Iterable[m.ModelMessage]) -> list[Any]:
    """The history for Converse. Bedrock requires alternating roles, the user first, and no blank text."""
    messages: list[dict[str, Any]] = []
    for message in history:
        role = "user" if isinstance(message, m.ModelRequest) else "assistant"
        blocks = [block for part in message.parts if (block := content_block(part))]
        if not blocks:
            continue
        if not messages and role == "assistant":
            messages.append({"role": "user", "content": [{"text": CALL_BEGAN}]})
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    return end_with_assistant(messages)


def valid_messages(messages: Any) -> list[Any]:
    """Messages that a model has written in this turn, as Bedrock accepts them in a request."""
    return [
        {**each, "content": [valid_block(block) for block in each["content"] if block.get("text", "-").strip()]}
        for each in clean(messages)
    ]


def valid_block(block: Mapping[str, Any]) -> dict[str, Any]:
    use = block.get("toolUse")
    valid = {"toolUse": {**use, "name": tool_name(use["name"]), "input": arguments_of(use["input"])}} if use else {}
    return {**block, **valid}


def tool_spec(tool: TurnTool) -> Any:
    """A tool specification of Converse."""
    return {"name": tool.name, "description": tool.description, "inputSchema": {"json": tool.schema}}


def end_with_assistant(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add a text of the assistant if the user's is the last, so that the next user text is a message of its own."""
    if messages and messages[-1]["role"] == "user":
        messages.append({"role": "assistant", "content": [{"text": "(interrupted)"}]})
    return messages


def content_block(part: Any) -> dict[str, Any] | None:
    match part:
        case m.UserPromptPart() | m.TextPart():
            return {"text": str(part.content)} if str(part.content).strip() else None
        case m.ToolCallPart():
            return {"toolUse": {"toolUseId": part.tool_call_id, "name": part.tool_name, "input": part.args_as_dict()}}
        case m.ToolReturnPart():
            content = [{"text": as_text(part.content)}]
            return {"toolResult": {"toolUseId": part.tool_call_id, "status": "success", "content": content}}
    return None


def record_of(message: Mapping[str, Any], run_id: str, model: str | None = None) -> m.ModelMessage:
    """A message of Converse for the record; `model` is the model that wrote it."""
    if message["role"] == "assistant":
        parts = [part for block in message["content"] if (part := response_part(block))]
        return m.ModelResponse(parts, usage=usage_of(message), model_name=model, provider_name="bedrock", run_id=run_id)
    return m.ModelRequest([each for block in message["content"] if (each := request_part(block))], run_id=run_id)


def usage_of(message: Mapping[str, Any]) -> RequestUsage:
    """The tokens that Strands adds to a message of a model, or none."""
    used = (message.get("metadata") or {}).get("usage") or {}
    names = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens")
    asked, answered, read, written = (int(used.get(name) or 0) for name in names)
    # Converse counts those of a cache beside the others, genai-prices among them.
    return RequestUsage(
        input_tokens=asked + read + written,
        output_tokens=answered,
        cache_read_tokens=read,
        cache_write_tokens=written,
    )


def response_part(block: Mapping[str, Any]) -> m.TextPart | m.ToolCallPart | None:
    if use := block.get("toolUse"):
        return m.ToolCallPart(use["name"], arguments_of(use["input"]), use["toolUseId"])
    return m.TextPart(block["text"]) if block.get("text") else None


def request_part(block: Mapping[str, Any]) -> m.UserPromptPart | m.ToolReturnPart | None:
    if result := block.get("toolResult"):
        text = "".join(part.get("text", "") for part in result["content"])
        return m.ToolReturnPart(result.get("name", ""), text, result["toolUseId"])
    return m.UserPromptPart(block["text"]) if block.get("text") else None
