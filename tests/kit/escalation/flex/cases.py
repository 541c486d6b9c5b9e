"""Workspaces that do not take conversations in writing."""

from __future__ import annotations

from tests.kit.healthy_project import Patient, sick, well


@sick("WRI001")
def the_workspace_of_another_workflow(patient: Patient) -> None:
    other = patient.simulated.workspaces.add("Another")["sid"]
    patient.patch.setenv("TWILIO_WORKSPACE_SID", f"WS{other[2:]}")


@sick("WRI002")
def a_channel_that_the_workspace_has_not(patient: Patient) -> None:
    patient.patch.setenv("AGENT_TASK_CHANNEL", "letters")


@well("WRI002")
def another_channel_of_the_workspace(patient: Patient) -> None:
    patient.patch.setenv("AGENT_TASK_CHANNEL", "sms")
