"""Models on Azure OpenAI, run by an agent of Agent Framework in this process. When one fails, the next one is used."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Self

from agent_framework import BaseChatClient
from agent_framework_openai import RawOpenAIChatClient
from openai import AsyncOpenAI, Timeout
from pydantic import Field, SecretStr

from app import config
from app.runtimes.azure import PORTAL, AzureSettings, Identity, missing_key
from app.runtimes.microsoft_agents.base import AgentFrameworkRuntime

SCOPE = "https://cognitiveservices.azure.com/.default"
FIND_ENDPOINT = f"Copy the endpoint of your Azure OpenAI resource from {PORTAL}, as in https://name.openai.azure.com."
FIND_DEPLOYMENT = "Write the name of a deployment of Azure OpenAI, as in gpt-6-luna."
DEPLOYMENT = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"


class AgentFrameworkSettings(AzureSettings):
    # Not required here: a script in place of the model needs no endpoint.
    openai_endpoint: str | None = Field(
        None, alias="AZURE_OPENAI_ENDPOINT", pattern=r"^https://[^\s/?#]+/?$", description=FIND_ENDPOINT
    )
    openai_key: SecretStr | None = Field(
        None, alias="AZURE_OPENAI_API_KEY", description="Copy a key of that resource, or leave it empty."
    )
    model: str = Field(config.MODEL, alias="AGENT_MODEL", pattern=DEPLOYMENT, description=FIND_DEPLOYMENT)
    fallback_model: str | None = Field(
        None,
        alias="AGENT_FALLBACK_MODEL",
        pattern=DEPLOYMENT,
        description="Write the name of a second deployment, or leave it out.",
    )


class AgentFramework(AgentFrameworkRuntime):
    settings = AgentFrameworkSettings

    def __init__(
        self, clients: Sequence[BaseChatClient[Any]], deadline: float, identity: Identity | None = None
    ) -> None:
        super().__init__(clients, deadline)
        self.identity = identity

    @classmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        named = models or [model for model in (settings.model, settings.fallback_model) if model]
        identity = None if settings.openai_key else Identity(SCOPE)
        key = identity.token if identity else settings.openai_key.get_secret_value()
        clients = [deployment(each, settings, key) if isinstance(each, str) else each for each in named]
        return cls(clients, settings.deadline, identity if any(isinstance(each, str) for each in named) else None)

    @staticmethod
    def model_names() -> list[str]:
        return [os.environ.get("AGENT_MODEL") or config.MODEL, *filter(None, [os.environ.get("AGENT_FALLBACK_MODEL")])]

    @staticmethod
    def missing_env() -> dict[str, str]:
        endpoint = {} if os.environ.get("AZURE_OPENAI_ENDPOINT") else {"AZURE_OPENAI_ENDPOINT": FIND_ENDPOINT}
        return {**endpoint, **missing_key("AZURE_OPENAI_API_KEY")}

    async def warm_up(self) -> None:
        await super().warm_up()
        if self.identity:
            await self.identity.warm_up()

    async def close(self) -> None:
        for client in self.clients:
            if isinstance(client, RawOpenAIChatClient):
                await client.client.close()
        if self.identity:
            await self.identity.close()


def deployment(name: str, settings: Any, key: str | Callable[[], Awaitable[str]]) -> RawOpenAIChatClient[Any]:
    """A client of one model. AsyncOpenAI is made here, since Agent Framework's sends a failed request twice more."""
    timeout = Timeout(4 * settings.deadline, connect=settings.deadline)
    base_url = f"{(settings.openai_endpoint or '').rstrip('/')}/openai/v1/"
    client = AsyncOpenAI(base_url=base_url, api_key=key, timeout=timeout, max_retries=0)
    return RawOpenAIChatClient(model=name, async_client=client)
