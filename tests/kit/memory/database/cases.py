"""Databases that do not answer."""

from __future__ import annotations

from tests.kit.healthy_project import Patient, sick, well


def healthy(patient: Patient) -> None:
    patient.patch.setattr("app.memory.database.checks.SEVERAL_WORKERS", False)


@sick("DBM001")
def a_file_for_several_workers(patient: Patient) -> None:
    patient.patch.setattr("app.memory.database.checks.SEVERAL_WORKERS", True)
    patient.patch.setenv("DATABASE_URL", "sqlite:///./memory.db")


@well("DBM001")
def a_file_for_one(patient: Patient) -> None:
    patient.patch.setenv("DATABASE_URL", "sqlite:///./memory.db")


@sick("DBM002")
def a_database_that_is_down(patient: Patient) -> None:
    patient.patch.setenv("DATABASE_URL", "postgresql://agent:a-key-of-nobody@127.0.0.1:1/agent")


@sick("DBM002")
def a_folder_that_is_not_there(patient: Patient) -> None:
    patient.patch.setenv("DATABASE_URL", "sqlite:///./nowhere/memory.db")
