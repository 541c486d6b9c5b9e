"""Cases of the checks of the keypad menu."""

from __future__ import annotations

from app import config
from app.voice.keypad_menu.phrases import menu
from kit import defaults
from tests.kit.healthy_project import HealthyProject, fails, passes

NUMBER = "+15005550010"


@fails("KEY001")
def no_person_to_reach(project: HealthyProject) -> None:
    project.patch.delenv("AGENT_FALLBACK_NUMBER", raising=False)
    project.patch.setattr("app.voice.keypad_menu.checks.folders", lambda: [])


@passes("KEY001")
def a_queue_instead(project: HealthyProject) -> None:
    project.patch.delenv("AGENT_FALLBACK_NUMBER", raising=False)
    project.patch.setattr("app.voice.keypad_menu.checks.folders", lambda: ["app.escalation"])


@passes("KEY001")
def a_number(project: HealthyProject) -> None:
    project.patch.setattr("app.voice.keypad_menu.checks.folders", lambda: [])
    project.patch.setenv("AGENT_FALLBACK_NUMBER", NUMBER)


@fails("KEY002")
def the_number_of_the_agent(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_FALLBACK_NUMBER", defaults.CALLED)


@passes("KEY002")
def the_number_of_a_person(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_FALLBACK_NUMBER", NUMBER)


@fails("KEY003")
def a_menu_with_markup(project: HealthyProject) -> None:
    project.patch.setattr(menu, "PERSON", "Press **1**.", raising=False)


@passes("KEY003")
def a_menu_of_words(project: HealthyProject) -> None:
    project.patch.setattr(config, "VOICEMAIL", True)
