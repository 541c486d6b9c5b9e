"""Models that do not answer."""

from __future__ import annotations

from typing import Any

from app import config
from app.registry import RUNTIME
from kit.scripted_model import scripted
from tests.kit.healthy_project import Patient, sick


@sick("MOD001")
def no_key(patient: Patient) -> None:
    for names, _ in config.MODEL_KEYS.values():
        for name in names:
            patient.patch.delenv(name, raising=False)


@sick("MOD002")
def a_model_that_nobody_knows(patient: Patient) -> None:
    patient.patch.setattr(
        RUNTIME, "unknown", staticmethod(lambda settings: ["AGENT_MODEL is 'gpt'. Write provider:model."])
    )


@sick("MOD003")
def the_same_model_twice(patient: Patient) -> None:
    patient.patch.setattr(RUNTIME, "asks", staticmethod(lambda: ["one", "one"]))


@sick("MOD004")
def a_model_that_is_down(patient: Patient) -> None:
    patient.models = [scripted({"fails": True})]


@sick("MOD004")
def a_model_without_a_word(patient: Patient) -> None:
    patient.models = [scripted({"says": " "})]


@sick("MOD005")
def a_slow_model(patient: Patient) -> None:
    async def slow(*_: Any) -> float:
        return 30.1

    patient.patch.setattr("kit.doctor.model.ask", slow)
