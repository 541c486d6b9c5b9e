"""A prompt agent of Microsoft Foundry answers: its model and tool descriptions are in Foundry, the tools run here.

Each request holds the whole conversation as the caller heard it, and Foundry stores nothing. The instructions of the
turn are the agent's structured input `instructions`; `agent foundry-agent` prints a definition that takes it.
Source: https://learn.microsoft.com/azure/foundry/agents/how-to/structured-inputs
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Self

from agent_framework import BaseChatClient
from pydantic import Field

from app.runtimes.azure import AzureSettings, Identity, missing_identity
from app.runtimes.microsoft_agents.base import AgentFrameworkRuntime

SCOPE = "https://ai.azure.com/.default"
FIND_PROJECT = "Copy the endpoint of your project from https://ai.azure.com, as in https://name.services.ai.azure.com/api/projects/name."
FIND_AGENT = "Write the name of your prompt agent in Microsoft Foundry."
NAME = r"^[A-Za-z0-9][A-Za-z0-9-]*$"


class FoundrySettings(AzureSettings):
    # Not required here: a script in place of the agent needs neither.
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


class Foundry(AgentFrameworkRuntime):
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
        # Its packages take seconds to import, and start a process.
        from app.runtimes.foundry.prompt_agent import PromptAgent

        identity = Identity(SCOPE)
        clients = [
            PromptAgent(each, settings, identity.credential) if isinstance(each, str) else each for each in named
        ]
        return cls(clients, settings.deadline, identity)

    @staticmethod
    def model_names() -> list[str]:
        agent = ":".join(filter(None, map(os.environ.get, ("FOUNDRY_AGENT_NAME", "FOUNDRY_AGENT_VERSION"))))
        return [agent or "your agent in Microsoft Foundry", *filter(None, [os.environ.get("FOUNDRY_FALLBACK_AGENT")])]

    @staticmethod
    def missing_env() -> dict[str, str]:
        needed = {"FOUNDRY_PROJECT_ENDPOINT": FIND_PROJECT, "FOUNDRY_AGENT_NAME": FIND_AGENT}
        return {**{name: fix for name, fix in needed.items() if not os.environ.get(name)}, **missing_identity()}

    async def warm_up(self) -> None:
        await super().warm_up()
        if self.identity:
            await self.identity.warm_up()

    async def close(self) -> None:
        for client in self.clients:
            if hasattr(client, "close"):
                await client.close()
        if self.identity:
            await self.identity.close()
