"""How this server signs in to Azure: with a key or with an identity of Microsoft Entra."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Annotated, Any

import structlog
from pydantic import AfterValidator, Field

from app.settings import Settings

log = structlog.get_logger()

# Variables that azure-identity reads: a kind of credential, an application, a workload of Kubernetes, a managed
# identity of Container Apps or of App Service.
IDENTITY_VARIABLES = ("AZURE_TOKEN_CREDENTIALS", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT")
FIRST_TOKEN_TIMEOUT = 10.0  # seconds; after it the server takes calls without a token
PORTAL = "https://portal.azure.com"
SIGN_IN = (
    "Sign in with `az login`; on a machine in Azure give it a managed identity and set AZURE_TOKEN_CREDENTIALS=prod."
)


def valid_credential(kind: str) -> str:
    default_credential()  # azure-identity reads the variable itself, and raises ValueError
    return kind


class AzureSettings(Settings):
    credentials: Annotated[str, AfterValidator(valid_credential)] | None = Field(
        None,
        alias="AZURE_TOKEN_CREDENTIALS",
        description="Write prod, dev or the name of a credential of azure-identity, or leave it out.",
    )


def default_credential() -> Any:
    """The identity of this server: an AsyncTokenCredential, whose packages take long to import. Close it at the end."""
    from azure.identity.aio import DefaultAzureCredential

    return DefaultAzureCredential()


class Identity:
    """The identity of this server for one service: `token` returns a valid token. `scope` names the service."""

    def __init__(self, scope: str) -> None:
        from azure.identity.aio import get_bearer_token_provider

        self.credential = default_credential()
        self.token = get_bearer_token_provider(self.credential, scope)

    async def warm_up(self) -> None:
        """Fetch the first token, which may take seconds, before a caller waits for it."""
        if not has_identity():
            return  # looking for one would take seconds too
        try:
            async with asyncio.timeout(FIRST_TOKEN_TIMEOUT):
                await self.token()
        except Exception as error:
            log.warning("azure.no_token", error=type(error).__name__)

    async def close(self) -> None:
        await self.credential.close()


def has_identity() -> bool:
    """True when the environment or the Azure CLI names an identity. The service for managed identities is not asked:
    where it does not exist, it takes seconds to find out."""
    cli_profile = Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure") / "azureProfile.json"
    return any(os.environ.get(name) for name in IDENTITY_VARIABLES) or cli_profile.is_file()


def missing_key(name: str) -> dict[str, str]:
    """What a service that takes a key or an identity lacks, with the fix. `name` is the variable of the key."""
    if os.environ.get(name) or has_identity():
        return {}
    return {name: f"Copy a key from {PORTAL}, or use an identity. {SIGN_IN}"}


def missing_identity() -> dict[str, str]:
    """The same of a service that takes no key."""
    return {} if has_identity() else {"AZURE_TOKEN_CREDENTIALS": SIGN_IN}
