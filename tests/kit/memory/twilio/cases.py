"""Memory that is never filled, or never found."""

from __future__ import annotations

from typing import Any

from kit.defaults import settings
from kit.simulated_twilio.product import identifier
from tests.kit.healthy_project import Patient, sick, well
from tests.kit.orchestrator.cases import configuration


def healthy(patient: Patient) -> None:
    known: Any = settings()
    patient.simulated.memory_stores.add(known.memory_store_id)
    configuration(patient).update(memoryStoreId=known.memory_store_id, memoryExtractionEnabled=True)


@sick("MEM001")
def no_store(patient: Patient) -> None:
    """Twilio takes such an id without a word: silence is all that comes of it."""
    patient.simulated.memory_stores.known.clear()


@sick("MEM002")
def a_store_that_is_still_being_made(patient: Patient) -> None:
    next(iter(patient.simulated.memory_stores.known.values()))["status"] = "PROVISIONING"


@sick("MEM003")
def another_store_is_filled(patient: Patient) -> None:
    other = identifier("mem_store", 7)
    patient.simulated.memory_stores.add(other)
    configuration(patient)["memoryStoreId"] = other


@sick("MEM004")
def nothing_is_extracted(patient: Patient) -> None:
    configuration(patient)["memoryExtractionEnabled"] = False


@well("MEM001")
def another_store_beside_it(patient: Patient) -> None:
    patient.simulated.memory_stores.add(identifier("mem_store", 7), status="FAILED")
