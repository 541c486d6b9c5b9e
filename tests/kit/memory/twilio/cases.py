"""Memory that is never filled, or never found."""

from __future__ import annotations

from typing import Any

from kit.defaults import settings
from kit.simulated_twilio.product import identifier
from tests.kit.healthy_project import HealthyProject, fails, passes
from tests.kit.orchestrator.cases import configuration


def healthy(project: HealthyProject) -> None:
    known: Any = settings()
    project.simulated.memory_stores.add(known.memory_store_id)
    configuration(project).update(memoryStoreId=known.memory_store_id, memoryExtractionEnabled=True)


@fails("MEM001")
def no_store(project: HealthyProject) -> None:
    """Twilio takes such an id without a word: silence is all that comes of it."""
    project.simulated.memory_stores.known.clear()


@fails("MEM002")
def a_store_that_is_still_being_made(project: HealthyProject) -> None:
    next(iter(project.simulated.memory_stores.known.values()))["status"] = "PROVISIONING"


@fails("MEM003")
def another_store_is_filled(project: HealthyProject) -> None:
    other = identifier("mem_store", 7)
    project.simulated.memory_stores.add(other)
    configuration(project)["memoryStoreId"] = other


@fails("MEM004")
def nothing_is_extracted(project: HealthyProject) -> None:
    configuration(project)["memoryExtractionEnabled"] = False


@passes("MEM001")
def another_store_beside_it(project: HealthyProject) -> None:
    project.simulated.memory_stores.add(identifier("mem_store", 7), status="FAILED")
