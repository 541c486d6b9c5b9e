"""Calls that wait in silence, or are connected by somebody else."""

from __future__ import annotations

from agent import handoff
from app.escalation.resources import FLEX
from kit.simulated_twilio.taskrouter import WORKSPACE
from tests.kit.escalation.cases import part
from tests.kit.healthy_project import Patient, sick, well


@sick("QUE001")
def silence_in_the_queue(patient: Patient) -> None:
    patient.patch.setattr(handoff, "WAITING", "")


@sick("QUE001")
def music_that_twilio_cannot_fetch(patient: Patient) -> None:
    patient.patch.setattr(handoff, "MUSIC", "music/waiting.mp3")


@sick("QUE001")
def a_way_out_that_is_none(patient: Patient) -> None:
    patient.patch.setattr(handoff, "WAY_OUT", "voice-mail")


@well("QUE001")
def music(patient: Patient) -> None:
    patient.patch.setattr(handoff, "MUSIC", "https://example.com/waiting.mp3")


@sick("QUE002")
def somebody_else_connects(patient: Patient) -> None:
    part(patient, "Workflows")["assignment_callback_url"] = "https://example.com/assignment"


@sick("QUE002")
def nobody_connects(patient: Patient) -> None:
    part(patient, "Workflows")["assignment_callback_url"] = ""


@well("QUE002")
def flex_connects(patient: Patient) -> None:
    nobody_connects(patient)
    patient.simulated.workspaces.known[WORKSPACE]["friendly_name"] = FLEX
