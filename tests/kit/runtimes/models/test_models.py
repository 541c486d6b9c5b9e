"""Models of any provider: their names, and errors for a wrong name or a missing key."""

from __future__ import annotations

import pytest

from app import config
from app.environment import SettingsError, load
from app.runtimes.models import Models
from kit import defaults

KEYS = [name for names, _ in config.MODEL_KEYS.values() for name in names]


@pytest.fixture(autouse=True)
def without_keys(environment: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A complete environment, for models that need no key."""
    environment.setenv("AGENT_MODEL", "test")
    environment.setenv("AGENT_FALLBACK_MODEL", "test")
    return environment


MISSPELT = ["gpt", "opnai:gpt-6-luna", "two:colons:here"]


@pytest.mark.parametrize(
    ("name", "value"), [*(("AGENT_MODEL", value) for value in MISSPELT), ("AGENT_FALLBACK_MODEL", "gpt")]
)
def test_an_unknown_model_is_named(without_keys: pytest.MonkeyPatch, name: str, value: str) -> None:
    without_keys.setenv(name, value)
    with pytest.raises(SettingsError) as error:
        load()
    (problem,) = error.value.problems
    barred = "hipaa" in getattr(config, "REGULATIONS", ()) and f"{name} names {value.partition(':')[0]}, "
    assert problem.startswith(barred or f"{name} is {value!r}. ")


def test_an_empty_agent_model_is_the_one_of_the_answers(without_keys: pytest.MonkeyPatch) -> None:
    without_keys.setenv("AGENT_MODEL", "")
    without_keys.setenv("AGENT_FALLBACK_MODEL", "")
    assert Models.model_names() == [model for model in (config.MODEL, config.FALLBACK_MODEL) if model]
    assert set(Models.missing_env()) == set(KEYS)


def test_a_model_of_another_provider_does_not_need_the_answered_key() -> None:
    assert Models.missing_env() == {}
    assert load().account_sid == defaults.ACCOUNT_SID
