"""Conversation configurations that are not there, or group in another way."""

from __future__ import annotations

from typing import Any

from app.orchestrator.checks import GROUPINGS
from kit.defaults import settings
from tests.kit.healthy_project import Patient, sick


def healthy(patient: Patient) -> None:
    known: Any = settings()
    patient.simulated.conversation_configurations.add(
        known.conversation_configuration_id, conversationGroupingType=GROUPINGS[0]
    )


def configuration(patient: Patient) -> dict[str, Any]:
    known: dict[str, Any] = next(iter(patient.simulated.conversation_configurations.known.values()))
    return known


@sick("ORC001")
def a_key_that_was_withdrawn(patient: Patient) -> None:
    patient.patch.setenv("TWILIO_API_SECRET", "the-secret-of-before")


@sick("ORC002")
def no_configuration(patient: Patient) -> None:
    patient.simulated.conversation_configurations.known.clear()


@sick("ORC003")
def another_grouping(patient: Patient) -> None:
    configuration(patient)["conversationGroupingType"] = "GROUP_BY_NOTHING"
