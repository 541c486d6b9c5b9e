"""Numbers, ids and settings of the simulated account. No real account has them."""

from __future__ import annotations

from typing import Any

from app.registry import ProjectSettings
from app.settings import Settings

CALLER = "+15005550006"
CALLED = "+15005550001"


def settings(**changes: Any) -> Settings:
    """Complete settings without an environment: the examples of the fields that have no default, and `changes`."""
    examples = {name: field.examples[0] for name, field in ProjectSettings.model_fields.items() if field.examples}
    return ProjectSettings(**{**examples, "log_level": "error", **changes})


ACCOUNT_SID: str = settings().account_sid
AUTH_TOKEN: str = settings().auth_token.get_secret_value()
PUBLIC_URL: str = settings().public_url


class Problem(AssertionError):
    """A failure that callers notice: the agent is silent, or Twilio would reject its frame or TwiML."""
