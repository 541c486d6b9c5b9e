"""TwiML with a feature that a regulation bars."""

from __future__ import annotations

from app import config
from app.compliance import products
from tests.kit.healthy_project import HealthyProject, fails, passes


def judge(project: HealthyProject, attribute: str, status: str) -> None:
    found = products.Verdict(
        "example", "Example", config.REGULATIONS[0], status, "", "example.com", "2026-11-28", "", attribute
    )
    project.patch.setattr(products, "VERDICTS", [found])


@fails("REG001")
def an_attribute_of_a_barred_feature(project: HealthyProject) -> None:
    judge(project, "interruptible", "not")


@fails("REG001")
def a_value_of_a_barred_feature(project: HealthyProject) -> None:
    judge(project, "interruptible=any", "not")


@passes("REG001")
def another_value_of_an_attribute(project: HealthyProject) -> None:
    judge(project, "interruptible=speech", "not")


@fails("REG001")
def an_element_of_a_barred_feature(project: HealthyProject) -> None:
    project.patch.setattr(config, "SPEECH_FAILOVER", True)
    judge(project, "Failover", "unknown")


@passes("REG001")
def an_attribute_of_an_allowed_feature(project: HealthyProject) -> None:
    judge(project, "interruptible", "conditional")


@passes("REG001")
def an_attribute_that_is_not_there(project: HealthyProject) -> None:
    judge(project, "turnDetection", "not")
