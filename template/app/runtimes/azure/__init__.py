"""How this server reaches Azure: with a key, or as an identity."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import structlog
from pydantic import AfterValidator, Field

from app.settings import Settings

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

log = structlog.get_logger()

# What azure-identity reads: a chosen kind of credential, an application, a workload of Kubernetes, a managed identity
# of Container Apps and of App Service.
SIGNS = ("AZURE_TOKEN_CREDENTIALS", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT")
PATIENCE = 10.0  # seconds for a first token, before the server takes calls without it
PORTAL = "https://portal.azure.com"
SIGN_IN = (
    "Sign in with `az login`; on a machine in Azure give it a managed identity and set AZURE_TOKEN_CREDENTIALS=prod."
)


def known(kind: str) -> str:
    identity()  # azure-identity reads the variable by itself, and raises a ValueError
    return kind


class AzureSettings(Settings):
    credentials: Annotated[str, AfterValidator(known)] | None = Field(
        None,
        alias="AZURE_TOKEN_CREDENTIALS",
        description="Write prod, dev or the name of a credential of azure-identity, or leave it out.",
    )


def identity() -> AsyncTokenCredential:
    """Who this server is in Azure. Nothing is asked before the first token is needed; close it in the end."""
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()


class Identity:
    """Who this server is for one service: `token` gives the token of the moment. `scope` names the service."""

    def __init__(self, scope: str) -> None:
        from azure.identity.aio import get_bearer_token_provider

        self.credential = identity()
        self.token = get_bearer_token_provider(self.credential, scope)

    async def warm_up(self) -> None:
        """Fetch the first token, which may take seconds, before a caller waits for it."""
        if not has_identity():
            return  # to ask around for one would take seconds too
        try:
            async with asyncio.timeout(PATIENCE):
                await self.token()
        except Exception as error:
            log.warning("azure.no_token", error=type(error).__name__)

    async def close(self) -> None:
        await self.credential.close()


def has_identity() -> bool:
    """Whether there is a sign of one. Asks nobody: the service for managed identities takes seconds to be missing."""
    signed_in = Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure") / "azureProfile.json"
    return any(os.environ.get(name) for name in SIGNS) or signed_in.is_file()


def missing_key(name: str) -> dict[str, str]:
    """What a service that takes a key or an identity lacks, with the fix. `name` is the variable of the key."""
    if os.environ.get(name) or has_identity():
        return {}
    return {name: f"Copy a key from {PORTAL}, or be somebody without one. {SIGN_IN}"}


def missing_identity() -> dict[str, str]:
    """The same of a service that takes no key."""
    return {} if has_identity() else {"AZURE_TOKEN_CREDENTIALS": SIGN_IN}
