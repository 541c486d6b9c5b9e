"""Messages of a conversation in the shape of Agent Framework, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agent_framework import ChatResponse, Content, Message
from pydantic_ai import RequestUsage
from pydantic_ai import messages as m

from app.history import arguments_of, clean
from app.runtimes.streams import as_text


def chat_messages(history: Iterable[m.ModelMessage]) -> list[Message]:
    """One message for each part: of several parts in one, Agent Framework sends the text to the Responses API last."""
    return [sent for message in history for part in message.parts if (sent := chat_message(part))]


def chat_message(part: Any) -> Message | None:
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


def valid_messages(messages: Sequence[Message]) -> list[Message]:
    """The messages of a request with clean texts, none blank: those of the turn come from the model."""
    for message in messages:
        for content in message.contents:
            content.text, content.arguments = clean(content.text), clean(content.arguments)
        message.contents = [each for each in message.contents if each.type != "text" or (each.text or "").strip()]
    return [message for message in messages if message.contents]


def record_of(response: ChatResponse[Any], model: str, run_id: str) -> m.ModelResponse:
    """The text and the tool calls of a response. `model` is its name."""
    parts: list[m.ModelResponsePart] = []
    for content in (content for message in response.messages for content in message.contents):
        if content.type == "text" and content.text:
            parts.append(m.TextPart(content.text))
        elif content.type == "function_call" and not content.informational_only:  # the service made that call itself
            parts.append(m.ToolCallPart(str(content.name), arguments_of(content.arguments), str(content.call_id)))
    used: Any = response.usage_details or {}
    names = ("input_token_count", "output_token_count", "cache_read_input_token_count")
    asked, answered, read = (int(used.get(name) or 0) for name in names)
    usage = RequestUsage(input_tokens=asked, output_tokens=answered, cache_read_tokens=read)
    return m.ModelResponse(parts, usage=usage, model_name=model, provider_name="azure", run_id=run_id)
