"""Numbers, ids and settings of the simulated account. No real account has them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pydantic import ValidationError

from app.environment import SettingsError, exit_on_settings_error, problems_in
from app.registry import RUNTIME, ProjectSettings
from app.settings import Settings

CALLER = "+15005550006"
CALLED = "+15005550001"


def settings(**changes: Any) -> Settings:
    """Complete settings without an environment: the examples of the fields that have no default, and `changes`."""
    examples = {name: field.examples[0] for name, field in ProjectSettings.model_fields.items() if field.examples}
    return ProjectSettings(**{**examples, "log_level": "error", **changes})


def usable_models() -> list[str]:
    """The models of the environment. Raises SettingsError for one that cannot be used."""
    if problems := RUNTIME.invalid_models(settings()):
        raise SettingsError(problems)
    return RUNTIME.model_names()


@contextmanager
def exit_on_wrong_settings(*hint: str) -> Iterator[None]:
    """Exit with 2 and a line for each wrong setting, also where the simulator reads the environment; then `hint`."""
    with exit_on_settings_error(*hint):
        try:
            yield
        except ValidationError as errors:
            if errors.title != ProjectSettings.__name__:
                raise
            raise SettingsError(problems_in(errors)) from None


def example(name: str) -> str:
    """The example of a field, without the environment; empty if the project has no such field."""
    field = ProjectSettings.model_fields.get(name)
    return str(field.examples[0]) if field and field.examples else ""


ACCOUNT_SID, AUTH_TOKEN, PUBLIC_URL = example("account_sid"), example("auth_token"), example("public_url")


class Problem(AssertionError):
    """A failure that callers notice: the agent is silent, or Twilio would reject its frame or TwiML."""
