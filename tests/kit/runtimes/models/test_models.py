"""Models of any provider: their names, and errors for a wrong name or a missing key."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app import config
from app.environment import SettingsError, load
from app.runtimes.models import WRITE_MODEL, Models, ModelsSettings, missing_key
from kit import defaults
from kit.testing import Begin

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
    assert problem.startswith(barred or f"{name} is {value!r}. {WRITE_MODEL}")


def test_a_model_without_its_package_says_which(without_keys: pytest.MonkeyPatch) -> None:
    without_keys.setitem(sys.modules, "groq", None)
    (problem,) = Models.invalid_models(defaults.settings(model="groq:x"))
    assert problem.startswith("AGENT_MODEL is 'groq:x'. ") and "install" in problem and "Write" not in problem


def test_an_empty_agent_model_is_the_one_of_the_answers(without_keys: pytest.MonkeyPatch) -> None:
    without_keys.setenv("AGENT_MODEL", "")
    without_keys.setenv("AGENT_FALLBACK_MODEL", "")
    assert Models.model_names() == [model for model in (config.MODEL, config.FALLBACK_MODEL) if model]
    assert set(Models.missing_env()) == set(config.MODEL_KEYS[config.MODEL.partition(":")[0]][0])


def test_a_model_of_another_provider_does_not_need_the_answered_key() -> None:
    assert Models.missing_env() == {}
    assert load().account_sid == defaults.ACCOUNT_SID


async def test_a_fallback_without_its_key_leaves_the_first_model_alone(
    without_keys: pytest.MonkeyPatch, begin: Begin, logged: Callable[[], str]
) -> None:
    """The server starts, says it once, and the first model answers."""
    without_keys.setenv("AGENT_FALLBACK_MODEL", config.MODEL)
    settings = load()
    assert isinstance(settings, ModelsSettings) and settings.fallback_model == config.MODEL
    (problem,) = Models.left_out()
    assert problem.startswith(f"{config.MODEL} is left out: {KEYS[0]}")
    runtime = Models.build(settings)
    assert [model.model_name for model in runtime.models] == ["test"]
    assert logged().count("model.left_out") == 1
    talk = await begin(models=[*runtime.models])
    assert (await talk.says("Hello")).text


async def test_any_provider_may_be_the_one_without_a_key(without_keys: pytest.MonkeyPatch) -> None:
    """One that is not of the answers says itself which variable it needs."""
    without_keys.setattr(config, "MODEL_KEYS", {})
    without_keys.setenv("AGENT_FALLBACK_MODEL", config.MODEL)
    refused = bool(missing_key(config.MODEL))  # Amazon's own client finds credentials in more than one place
    assert [model.model_name for model in Models.build(load()).models][0] == "test"
    assert len(Models.build(load()).models) == 2 - refused


def test_the_first_model_needs_its_key(without_keys: pytest.MonkeyPatch) -> None:
    without_keys.setenv("AGENT_MODEL", config.MODEL)
    with pytest.raises(SettingsError) as error:
        load()
    assert [problem.partition(" ")[0] for problem in error.value.problems] == KEYS[: len(error.value.problems)]


FIRST_TURN = """
import asyncio, sys
from app import Session
from kit import defaults
from kit.agent_app import build_app

async def turn():
    app = build_app({"says": "Yes."})
    brain = app.state.brain
    async with app.router.lifespan_context(app):
        session = Session("CA1", defaults.CALLER, defaults.CALLED, "en-US", brain.services.local_now)
        before = set(sys.modules)
        async for _ in brain.reply(session, "Hello"):
            pass
        print("late:", *sorted(set(sys.modules) - before))

asyncio.run(turn())
"""


@pytest.mark.skipif(Path("app/observability").exists(), reason="exporters load in threads of their own")
def test_the_start_loads_what_the_stream_of_a_model_loads() -> None:
    """Without a caller in the process, whose clients load the same."""
    done = subprocess.run([sys.executable, "-c", FIRST_TURN], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    assert [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("late:")] == [[]]
