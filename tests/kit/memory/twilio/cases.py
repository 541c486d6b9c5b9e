"""Memory stores that are missing, not ready, or not linked."""

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
    """Twilio accepts the id of a missing store without an error."""
    project.simulated.memory_stores.records.clear()


@fails("MEM002")
def a_store_that_is_not_active_yet(project: HealthyProject) -> None:
    next(iter(project.simulated.memory_stores.records.values()))["status"] = "PROVISIONING"


@fails("MEM003")
def a_link_to_another_store(project: HealthyProject) -> None:
    other = identifier("mem_store", 7)
    project.simulated.memory_stores.add(other)
    configuration(project)["memoryStoreId"] = other


@fails("MEM004")
def extraction_switched_off(project: HealthyProject) -> None:
    configuration(project)["memoryExtractionEnabled"] = False


@passes("MEM001")
def another_store_beside_it(project: HealthyProject) -> None:
    project.simulated.memory_stores.add(identifier("mem_store", 7), status="FAILED")
