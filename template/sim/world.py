"""What stands in for an account: numbers, ids and settings that belong to nobody."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from app.settings import Settings

ACCOUNT_SID = "AC" + "0" * 32
AUTH_TOKEN = "an-auth-token-of-nobody"
PUBLIC_URL = "https://agent.example"
CALLER = "+15005550006"
CALLED = "+15005550001"


def settings(**changes: Any) -> Settings:
    """Settings that are complete without an environment."""
    return Settings(
        **{
            "account_sid": ACCOUNT_SID,
            "auth_token": SecretStr(AUTH_TOKEN),
            "public_url": PUBLIC_URL,
            "log_level": "error",
            **changes,
        }
    )
