"""A script as a chat client of Agent Framework: the agent, its tools and its loop are the real ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from agent_framework import BaseChatClient, ChatResponseUpdate, Content, Message
from pydantic_ai import messages as m
from pydantic_ai.models.function import FunctionModel

from app.history import arguments_of
from kit.scripted_model import deltas


class ScriptedClient(BaseChatClient[Any]):
    """Rejects what the Responses API rejects, and sends each text twice as it does: in tokens, then as a whole."""

    def __init__(self, script: FunctionModel) -> None:
        super().__init__()
        self.script = script
        self.model = script.model_name
        self.requests: list[dict[str, Any]] = []

    def _inner_get_response(self, *, messages: Sequence[Message], stream: bool, options: Any, **kwargs: Any) -> Any:
        return self._build_response_stream(self._updates(messages, options))

    async def _updates(self, messages: Sequence[Message], options: Any) -> AsyncGenerator[ChatResponseUpdate]:
        reject_like_azure(messages)
        self.requests.append({"messages": list(messages), **options})
        tools = {tool.name: tool.parameters() for tool in options.get("tools") or []}
        yield ChatResponseUpdate(role="assistant", contents=[])  # the response has been created
        text = ""
        async for delta in deltas(self.script, recorded(messages), tools, options.get("instructions")):
            if isinstance(delta, str):
                text += delta
                if delta:
                    yield ChatResponseUpdate(role="assistant", contents=[Content.from_text(delta, merge_mode="append")])
                continue
            call = Content.from_function_call(str(delta.tool_call_id), str(delta.name), arguments=str(delta.json_args))
            yield ChatResponseUpdate(role="assistant", contents=[call])
        if text:
            yield ChatResponseUpdate(role="assistant", contents=[Content.from_text(text, merge_mode="replace")])


def recorded(messages: Sequence[Message]) -> list[m.ModelMessage]:
    """The messages of a request, as a script reads them."""
    names = {each.call_id: str(each.name) for message in messages for each in message.contents if each.name}
    record: list[m.ModelMessage] = []
    for message in messages:
        for content in message.contents:
            match content.type:
                case "text" if message.role == "assistant":
                    record.append(m.ModelResponse([m.TextPart(content.text or "")]))
                case "text":
                    record.append(m.ModelRequest([m.UserPromptPart(content.text or "")]))
                case "function_call":
                    arguments = arguments_of(content.arguments)
                    call = m.ToolCallPart(str(content.name), arguments, str(content.call_id))
                    record.append(m.ModelResponse([call]))
                case "function_result":
                    name = names.get(content.call_id, "")
                    record.append(m.ModelRequest([m.ToolReturnPart(name, content.result, str(content.call_id))]))
    return record


def reject_like_azure(messages: Sequence[Message]) -> None:
    """Raises ValueError where the Responses API answers 400."""
    called: list[str | None] = []
    for content in (content for message in messages for content in message.contents):
        match content.type:
            case "text" if not (content.text or "").strip():
                raise ValueError("a text is blank")
            case "function_call":
                if not isinstance(content.arguments, str):
                    raise ValueError("the arguments of a call are not text")
                called.append(content.call_id)
            case "function_result":
                if content.call_id not in called:
                    raise ValueError("a tool output without a call")
                called.remove(content.call_id)
    if called:
        raise ValueError(f"no tool output found for {called}")


def build_model(model: FunctionModel) -> ScriptedClient:
    """The script as a client for the runtime of this project."""
    return ScriptedClient(model)
