"""A prompt agent of Microsoft Foundry answers: its model and its tools' descriptions live there, your tools run here.

It is asked with the whole conversation as the caller heard it, and keeps nothing. What this server knows of the caller
goes in as its structured input `instructions`; `agent foundry-agent` prints the definition that takes it.
Source: https://learn.microsoft.com/azure/foundry/agents/how-to/structured-inputs
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from agent_framework import BaseChatClient, Content, Message
from agent_framework_foundry import RawFoundryAgentChatClient
from azure.ai.projects.aio import AIProjectClient
from pydantic import Field

from app.agents import Agents
from app.azure import Identity, missing_identity, wrong_identity
from app.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

SCOPE = "https://ai.azure.com/.default"
FIND_PROJECT = "Copy the endpoint of your project from https://ai.azure.com, as in https://name.services.ai.azure.com/api/projects/name."
FIND_AGENT = "Write the name of your prompt agent in Microsoft Foundry."
NAME = r"^[A-Za-z0-9][A-Za-z0-9-]*$"


class FoundrySettings(Settings):
    # Not required here: whoever talks to a script needs neither.
    project_endpoint: str | None = Field(
        None,
        alias="FOUNDRY_PROJECT_ENDPOINT",
        pattern=r"^https://[^\s/?#]+/api/projects/[^\s/?#]+/?$",
        description=FIND_PROJECT,
    )
    agent_name: str | None = Field(None, alias="FOUNDRY_AGENT_NAME", pattern=NAME, description=FIND_AGENT)
    agent_version: str | None = Field(
        None,
        alias="FOUNDRY_AGENT_VERSION",
        pattern=r"^\d+$",
        description="Write a version of the agent, or leave it out for the latest.",
    )
    fallback_agent: str | None = Field(
        None,
        alias="FOUNDRY_FALLBACK_AGENT",
        pattern=rf"{NAME[:-1]}(:\d+)?$",
        description="Write a second agent of the project, as in name or name:version, or leave it out.",
    )


class Foundry(Agents):
    settings = FoundrySettings

    def __init__(
        self,
        clients: Sequence[BaseChatClient[Any]],
        deadline: float,
        identity: Identity | None = None,
    ) -> None:
        super().__init__(clients, deadline)
        self.identity = identity

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        first = ":".join(filter(None, [settings.agent_name, settings.agent_version]))
        named = models or [agent for agent in (first, settings.fallback_agent) if agent]
        if not any(isinstance(each, str) for each in named):
            return cls(named, settings.deadline)
        identity = Identity(SCOPE)
        clients = [
            PromptAgent(each, settings, identity.credential) if isinstance(each, str) else each for each in named
        ]
        return cls(clients, settings.deadline, identity)

    @staticmethod
    def asks() -> list[str]:
        agent = ":".join(filter(None, map(os.environ.get, ("FOUNDRY_AGENT_NAME", "FOUNDRY_AGENT_VERSION"))))
        return [agent or "your agent in Microsoft Foundry", *filter(None, [os.environ.get("FOUNDRY_FALLBACK_AGENT")])]

    @staticmethod
    def missing() -> dict[str, str]:
        needed = {"FOUNDRY_PROJECT_ENDPOINT": FIND_PROJECT, "FOUNDRY_AGENT_NAME": FIND_AGENT}
        return {**{name: fix for name, fix in needed.items() if not os.environ.get(name)}, **missing_identity()}

    @staticmethod
    def unknown(settings: Any) -> list[str]:
        return wrong_identity()

    async def warm(self) -> None:
        if self.identity:
            await self.identity.warm()

    async def close(self) -> None:
        for client in self.clients:
            if isinstance(client, PromptAgent):
                await client.client.close()
                await client.project_client.close()
        if self.identity:
            await self.identity.close()


class PromptAgent(RawFoundryAgentChatClient[Any]):
    """An agent by `name` or `name:version`. It is asked once, and told only what the service takes."""

    def __init__(self, name: str, settings: Any, credential: AsyncTokenCredential) -> None:
        agent, _, version = name.partition(":")
        project = AIProjectClient(endpoint=settings.project_endpoint or "", credential=credential)
        super().__init__(project_client=project, agent_name=agent, timeout=4 * settings.deadline)
        self.agent_version = version or None  # without one, it would be that of the environment: another agent's
        self.client = self.client.with_options(max_retries=0)

    def _inner_get_response(
        self, *, messages: Sequence[Message], options: Mapping[str, Any], stream: bool = False, **kwargs: Any
    ) -> Any:
        told = {"instructions": str(options.get("instructions") or "")}
        return super()._inner_get_response(
            messages=[without_thoughts(message) for message in messages],
            options={"store": False, "extra_body": {"structured_inputs": told}},
            stream=stream,
        )


def without_thoughts(message: Message) -> Message:
    """What was said and done. The thoughts of an agent come without what it would take to send them back."""
    kept = [
        Content.from_function_call(str(each.call_id), str(each.name), arguments=each.arguments)
        if each.type == "function_call"
        else each
        for each in message.contents
        if each.type in ("text", "function_call", "function_result")
    ]
    return Message(message.role, kept)
