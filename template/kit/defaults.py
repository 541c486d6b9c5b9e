"""What stands in for an account: numbers, ids and settings that belong to nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from app.registry import ProjectSettings
from app.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

CALLER = "+15005550006"
CALLED = "+15005550001"


def settings(**changes: Any) -> Settings:
    """Settings that are complete without an environment: the examples of those that have no default."""
    examples = {name: field.examples[0] for name, field in ProjectSettings.model_fields.items() if field.examples}
    return ProjectSettings(**{**examples, "log_level": "error", **changes})


ACCOUNT_SID: str = settings().account_sid
AUTH_TOKEN: str = settings().auth_token.get_secret_value()
PUBLIC_URL: str = settings().public_url


class Problem(AssertionError):
    """The app did what people would take for silence, or what Twilio would drop."""


async def given_memory(app: FastAPI, account: object, facts: dict[str, Any]) -> None:
    """What a scenario says of memory, for a project that has none."""
    if facts:
        raise ValueError("this project has no memory")
