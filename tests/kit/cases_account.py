"""Accounts that Twilio does not let in."""

from __future__ import annotations

from tests.kit.healthy_project import Patient, sick


@sick("ACC001", "END006", "WSS002")
def another_token(patient: Patient) -> None:
    patient.patch.setenv("TWILIO_AUTH_TOKEN", "the-token-of-before")


@sick("ACC002")
def a_suspended_account(patient: Patient) -> None:
    patient.simulated.numbers.status = "suspended"
