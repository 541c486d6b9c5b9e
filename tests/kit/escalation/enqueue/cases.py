"""Calls that wait in silence, or have another assignment callback."""

from __future__ import annotations

from agent import handoff
from app import config
from app.escalation.resources import FLEX
from kit.simulated_twilio.taskrouter import WORKSPACE
from tests.kit.escalation.cases import part
from tests.kit.healthy_project import HealthyProject, fails, passes


@fails("QUE001")
def silence_in_the_queue(project: HealthyProject) -> None:
    project.patch.setattr(handoff, "WAITING", "")


@fails("QUE001")
def music_that_twilio_cannot_fetch(project: HealthyProject) -> None:
    project.patch.setattr(handoff, "MUSIC", "music/waiting.mp3")


@fails("QUE001")
def an_unknown_way_out(project: HealthyProject) -> None:
    project.patch.setattr(handoff, "WAY_OUT", "voice-mail")


@fails("QUE001")
def a_voicemail_where_none_may_be_left(project: HealthyProject) -> None:
    project.patch.setattr(handoff, "WAY_OUT", "voicemail")
    project.patch.setattr(config, "VOICEMAIL", False)


@passes("QUE001")
def music(project: HealthyProject) -> None:
    project.patch.setattr(handoff, "MUSIC", "https://example.com/waiting.mp3")


@fails("QUE002")
def another_assignment_callback(project: HealthyProject) -> None:
    part(project, "Workflows")["assignment_callback_url"] = "https://example.com/assignment"


@fails("QUE002")
def no_assignment_callback(project: HealthyProject) -> None:
    part(project, "Workflows")["assignment_callback_url"] = ""


@passes("QUE002")
def flex_without_an_assignment_callback(project: HealthyProject) -> None:
    no_assignment_callback(project)
    project.simulated.workspaces.records[WORKSPACE]["friendly_name"] = FLEX
