"""A prompt agent of Microsoft Foundry as a client of Agent Framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent_framework import Content, Message
from agent_framework_foundry import RawFoundryAgentChatClient
from azure.ai.projects.aio import AIProjectClient
from azure.core.credentials_async import AsyncTokenCredential


class PromptAgent(RawFoundryAgentChatClient[Any]):
    """An agent by `name` or `name:version`. Requests are sent once, and hold only what the service accepts."""

    def __init__(self, name: str, settings: Any, credential: AsyncTokenCredential) -> None:
        agent, _, version = name.partition(":")
        project = AIProjectClient(endpoint=settings.project_endpoint or "", credential=credential)
        super().__init__(project_client=project, agent_name=agent, timeout=4 * settings.deadline)
        self.agent_version = version or None  # otherwise FOUNDRY_AGENT_VERSION, which is another agent's
        self.client = self.client.with_options(max_retries=0)

    async def close(self) -> None:
        await self.client.close()
        await self.project_client.close()

    def _inner_get_response(
        self, *, messages: Sequence[Message], options: Mapping[str, Any], stream: bool = False, **kwargs: Any
    ) -> Any:
        inputs = {"instructions": str(options.get("instructions") or "")}
        return super()._inner_get_response(
            messages=[without_thoughts(message) for message in messages],
            options={"store": False, "extra_body": {"structured_inputs": inputs}},
            stream=stream,
        )


def without_thoughts(message: Message) -> Message:
    """The message without reasoning: Foundry sends it without the content that a later request would have to hold."""
    kept = [
        Content.from_function_call(str(each.call_id), str(each.name), arguments=each.arguments)
        if each.type == "function_call"
        else each
        for each in message.contents
        if each.type in ("text", "function_call", "function_result")
    ]
    return Message(message.role, kept)
