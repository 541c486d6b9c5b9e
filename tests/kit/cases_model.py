"""Models that do not answer."""

from __future__ import annotations

from typing import Any

from app.registry import RUNTIME
from kit.scripted_model import scripted
from tests.kit.healthy_project import KEYS_OF_FIRST, HealthyProject, fails


@fails("MOD001")
def no_key(project: HealthyProject) -> None:
    for name in KEYS_OF_FIRST:
        project.patch.delenv(name, raising=False)


@fails("MOD002")
def an_unknown_model(project: HealthyProject) -> None:
    project.patch.setattr(
        RUNTIME, "invalid_models", staticmethod(lambda settings: ["AGENT_MODEL is 'gpt'. Write provider:model."])
    )


@fails("MOD003")
def the_same_model_twice(project: HealthyProject) -> None:
    project.patch.setattr(RUNTIME, "model_names", staticmethod(lambda: ["one", "one"]))


@fails("MOD006")
def a_fallback_without_a_key(project: HealthyProject) -> None:
    problem = "anthropic:claude is left out: ANTHROPIC_API_KEY is missing."
    project.patch.setattr(RUNTIME, "left_out", staticmethod(lambda: [problem]))


@fails("MOD004")
def a_model_that_is_down(project: HealthyProject) -> None:
    project.models = [scripted({"fails": True})]


@fails("MOD004")
def a_model_without_a_word(project: HealthyProject) -> None:
    project.models = [scripted({"says": " "})]


@fails("MOD005")
def a_slow_model(project: HealthyProject) -> None:
    async def slow(*_: Any) -> float:
        return 30.1

    project.patch.setattr("kit.doctor.model.latency", slow)
