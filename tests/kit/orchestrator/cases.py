"""Conversation configurations that are missing, or have another grouping."""

from __future__ import annotations

from typing import Any

from app.orchestrator.checks import GROUPINGS
from app.registry import CHANNELS, ProjectSettings
from tests.kit.healthy_project import HealthyProject, fails, passes

HAS_VOICE = any(channel.name == "voice" for channel in CHANNELS)


def healthy(project: HealthyProject) -> None:
    channels = configuration(project)["channelSettings"]
    if HAS_VOICE:
        channels["VOICE"] = {"statusTimeouts": {"inactive": 1, "closed": 5}}


def configuration(project: HealthyProject) -> dict[str, Any]:
    """The conversation configuration of the project, in the simulated account."""
    configurations = project.simulated.conversation_configurations
    if not configurations.records:
        id = ProjectSettings.model_fields["conversation_configuration_id"].examples
        configurations.add(id[0] if id else "", conversationGroupingType=GROUPINGS[0])
    known: dict[str, Any] = next(iter(configurations.records.values()))
    return known


@fails("ORC001")
def a_revoked_key(project: HealthyProject) -> None:
    project.patch.setenv("TWILIO_API_SECRET", "the-secret-of-before")


@fails("ORC002")
def no_configuration(project: HealthyProject) -> None:
    project.simulated.conversation_configurations.records.clear()


@fails("ORC003")
def another_grouping(project: HealthyProject) -> None:
    configuration(project)["conversationGroupingType"] = "GROUP_BY_NOTHING"


if HAS_VOICE:

    @fails("CON001")
    def no_voice_channel(project: HealthyProject) -> None:
        del configuration(project)["channelSettings"]["VOICE"]

    @fails("CON002")
    def speech_recognition_twice(project: HealthyProject) -> None:
        configuration(project)["channelSettings"]["VOICE"]["captureRules"] = [{"from": "*", "to": "+15005550001"}]

    @passes("CON002")
    def an_empty_list_of_rules(project: HealthyProject) -> None:
        configuration(project)["channelSettings"]["VOICE"]["captureRules"] = []


@fails("ORC004")
def a_region_without_it(project: HealthyProject) -> None:
    project.move("au1", without="conversations")
