"""What TAC does unless it is told otherwise."""

from __future__ import annotations

from tests.kit.healthy_project import Patient, sick, well


@sick("TAC001")
def almost_off(patient: Patient) -> None:
    patient.patch.setenv("TAC_ANALYTICS_DISABLED", "True")


@well("TAC001")
def nothing_said(patient: Patient) -> None:
    patient.patch.delenv("TAC_ANALYTICS_DISABLED", raising=False)
