"""Redis whose answers others can read."""

from __future__ import annotations

from tests.kit.healthy_project import Patient, sick, well


@sick("RED001")
def without_tls(patient: Patient) -> None:
    patient.patch.setenv("REDIS_URL", "redis://cache.example.com:6379/0")


@well("RED001")
def with_tls(patient: Patient) -> None:
    patient.patch.setenv("REDIS_URL", "rediss://:secret@cache.example.com:6379/0")


@well("RED001")
def beside_it_in_compose(patient: Patient) -> None:
    patient.patch.setenv("REDIS_URL", "redis://redis:6379/0")
