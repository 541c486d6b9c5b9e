"""Configurations without a bridge to chats, or with one that leads nowhere."""

from __future__ import annotations

from kit.simulated_twilio.product import sid
from tests.kit.healthy_project import HealthyProject, fails, passes
from tests.kit.orchestrator.cases import configuration


def healthy(project: HealthyProject) -> None:
    bridge(project, project.simulated.chat_services.add("simulated")["sid"])


def bridge(project: HealthyProject, service: str) -> None:
    configuration(project)["conversationsV1Bridge"] = {"serviceId": service}


@fails("CHT001")
def no_bridge(project: HealthyProject) -> None:
    configuration(project)["conversationsV1Bridge"] = None


@fails("CHT001")
def a_bridge_to_another_service(project: HealthyProject) -> None:
    project.patch.setenv("TWILIO_CONVERSATIONS_SERVICE_SID", sid("IS"))


@passes("CHT001")
def the_service_of_the_settings(project: HealthyProject) -> None:
    (service,) = project.simulated.chat_services.records
    project.patch.setenv("TWILIO_CONVERSATIONS_SERVICE_SID", service)


@fails("CHT002")
def a_service_that_was_deleted(project: HealthyProject) -> None:
    project.simulated.chat_services.records.clear()
