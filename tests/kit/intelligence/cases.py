"""Files that cannot be written, alerts that go nowhere, and operators without a reaction."""

from __future__ import annotations

from agent import reactions
from app import config
from kit.defaults import PUBLIC_URL
from tests.kit.healthy_project import HealthyProject, fails, passes

OPERATORS = ["sentiment", "summary", "custom"]


def healthy(project: HealthyProject) -> None:
    """With the same operators in every project, so that each case fits."""
    project.answer(operators=OPERATORS)
    project.patch.setattr(config, "OPERATORS", OPERATORS)


@fails("INT001")
def a_file_in_a_missing_folder(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_FAILED_SIGNALS", "nowhere/failed-signals.jsonl")


@passes("INT001")
def a_file_beside_the_project(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_FAILED_SIGNALS", "failed-signals.jsonl")


@fails("INT002")
def unencrypted_alerts(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_ALERT_URL", "http://alerts.example.com/hook")


@fails("INT002")
def alerts_to_this_server(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_ALERT_URL", f"{PUBLIC_URL}/alerts")


@passes("INT002")
def alerts_to_another_server(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_ALERT_URL", "https://alerts.example.com/hook")


@fails("INT003")
def an_operator_without_a_reaction(project: HealthyProject) -> None:
    project.patch.delattr(reactions, "on_sentiment")
