"""Conversation configurations that are not there, or group in another way."""

from __future__ import annotations

from typing import Any

from app.orchestrator.checks import GROUPINGS
from app.registry import CHANNELS
from kit.defaults import settings
from tests.kit.healthy_project import HealthyProject, fails, passes


def healthy(project: HealthyProject) -> None:
    known: Any = settings()
    project.simulated.conversation_configurations.add(
        known.conversation_configuration_id, conversationGroupingType=GROUPINGS[0]
    )


def configuration(project: HealthyProject) -> dict[str, Any]:
    known: dict[str, Any] = next(iter(project.simulated.conversation_configurations.known.values()))
    return known


@fails("ORC001")
def a_key_that_was_withdrawn(project: HealthyProject) -> None:
    project.patch.setenv("TWILIO_API_SECRET", "the-secret-of-before")


@fails("ORC002")
def no_configuration(project: HealthyProject) -> None:
    project.simulated.conversation_configurations.known.clear()


@fails("ORC003")
def another_grouping(project: HealthyProject) -> None:
    configuration(project)["conversationGroupingType"] = "GROUP_BY_NOTHING"


if any(channel.name == "voice" for channel in CHANNELS):

    def healthy(project: HealthyProject) -> None:
        configuration(project)["channelSettings"]["VOICE"] = {"statusTimeouts": {"inactive": 1, "closed": 5}}

    @fails("CON001")
    def no_calls(project: HealthyProject) -> None:
        del configuration(project)["channelSettings"]["VOICE"]

    @fails("CON002")
    def speech_recognition_twice(project: HealthyProject) -> None:
        configuration(project)["channelSettings"]["VOICE"]["captureRules"] = [{"from": "*", "to": "+15005550001"}]

    @passes("CON002")
    def rules_that_are_none(project: HealthyProject) -> None:
        configuration(project)["channelSettings"]["VOICE"]["captureRules"] = []
