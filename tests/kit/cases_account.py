"""Accounts that Twilio does not let in."""

from __future__ import annotations

from tests.kit.healthy_project import HealthyProject, fails


@fails("ACC001", "END006", "WSS002")
def another_token(project: HealthyProject) -> None:
    project.patch.setenv("TWILIO_AUTH_TOKEN", "the-token-of-before")


@fails("ACC002")
def a_suspended_account(project: HealthyProject) -> None:
    project.simulated.numbers.status = "suspended"
