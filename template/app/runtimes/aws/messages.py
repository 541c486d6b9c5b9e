"""The record of a conversation in the shape that Amazon Bedrock's Converse API and Strands share, and back.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Message.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic_ai import messages as m

from app.runtimes.streams import as_text

NOBODY_SPOKE = "(The call has begun.)"


def bedrock_messages(history: Iterable[m.ModelMessage]) -> list[Any]:
    """The messages of Converse. Bedrock insists: the roles take turns, the user begins, no text is blank."""
    told: list[dict[str, Any]] = []
    for message in history:
        role = "user" if isinstance(message, m.ModelRequest) else "assistant"
        blocks = [block for part in message.parts if (block := content_block(part))]
        if not blocks:
            continue
        if not told and role == "assistant":
            told.append({"role": "user", "content": [{"text": NOBODY_SPOKE}]})
        if told and told[-1]["role"] == role:
            told[-1]["content"] += blocks
        else:
            told.append({"role": role, "content": blocks})
    return closed(told)


def closed(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With a word of the assistant at the end: what the caller says next is a message of its own."""
    if told and told[-1]["role"] == "user":
        told.append({"role": "assistant", "content": [{"text": "(interrupted)"}]})
    return told


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
    """A message of Converse for the record; `model` is who has written it."""
    if message["role"] == "assistant":
        said = [part for block in message["content"] if (part := as_said(block))]
        return m.ModelResponse(said, model_name=model, run_id=run_id)
    return m.ModelRequest([each for block in message["content"] if (each := as_heard(block))], run_id=run_id)


def as_said(block: Mapping[str, Any]) -> m.TextPart | m.ToolCallPart | None:
    if use := block.get("toolUse"):
        return m.ToolCallPart(use["name"], use["input"], use["toolUseId"])
    return m.TextPart(block["text"]) if block.get("text") else None


def as_heard(block: Mapping[str, Any]) -> m.UserPromptPart | m.ToolReturnPart | None:
    if result := block.get("toolResult"):
        text = "".join(part.get("text", "") for part in result["content"])
        return m.ToolReturnPart(result.get("name", ""), text, result["toolUseId"])
    return m.UserPromptPart(block["text"]) if block.get("text") else None
