"""Workspaces that do not take text conversations."""

from __future__ import annotations

from tests.kit.healthy_project import HealthyProject, fails, passes


@fails("WRI001")
def the_workspace_of_another_workflow(project: HealthyProject) -> None:
    other = project.simulated.workspaces.add("Another")["sid"]
    project.patch.setenv("TWILIO_WORKSPACE_SID", f"WS{other[2:]}")


@fails("WRI002")
def an_unknown_task_channel(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_TASK_CHANNEL", "letters")


@passes("WRI002")
def another_channel_of_the_workspace(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_TASK_CHANNEL", "sms")


@fails("WRI003")
def a_region_without_it(project: HealthyProject) -> None:
    project.move("au1", without="flex-api")
