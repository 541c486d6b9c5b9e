"""The record of a conversation in the shape of Agent Framework, and back."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from agent_framework import ChatResponse, Content, Message
from pydantic_ai import messages as m

from app.runtime import as_text


def as_told(history: Iterable[m.ModelMessage]) -> list[Message]:
    """A message for each part: of several in one, the Responses API is told the words last."""
    return [told for message in history for part in message.parts if (told := as_message(part))]


def as_message(part: Any) -> Message | None:
    match part:
        case m.UserPromptPart() if str(part.content).strip():
            return Message("user", [Content.from_text(str(part.content))])
        case m.TextPart() if part.content.strip():
            return Message("assistant", [Content.from_text(part.content)])
        case m.ToolCallPart():
            call = Content.from_function_call(part.tool_call_id, part.tool_name, arguments=part.args_as_json_str())
            return Message("assistant", [call])
        case m.ToolReturnPart():
            return Message("tool", [Content.from_function_result(part.tool_call_id, result=as_text(part.content))])
    return None


def as_record(response: ChatResponse[Any], model: str, run_id: str) -> m.ModelResponse:
    """What a model has answered. `model` is who."""
    said: list[m.ModelResponsePart] = []
    for content in (content for message in response.messages for content in message.contents):
        if content.type == "text" and content.text:
            said.append(m.TextPart(content.text))
        elif content.type == "function_call" and not content.informational_only:  # the service did that one itself
            said.append(m.ToolCallPart(str(content.name), as_arguments(content.arguments), str(content.call_id)))
    return m.ModelResponse(said, model_name=model, run_id=run_id)


def as_arguments(given: Any) -> dict[str, Any]:
    """The arguments of a call. What is no JSON object is none: the tool says what it lacks."""
    try:
        known = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        known = None
    return dict(known) if isinstance(known, dict) else {}
