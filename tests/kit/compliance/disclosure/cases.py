"""Disclosures that no lawyer has read, or without a proof."""

from __future__ import annotations

from typing import Any

from app.compliance.disclosure.wording import wording
from tests.kit.healthy_project import HealthyProject, fails, passes


def review(project: HealthyProject, **changes: Any) -> None:
    for language, sentences in wording.defaults.items():
        own = {**sentences, "reviewed": True, "person": "Call 555 0100.", **changes}
        project.patch.setitem(wording.own, language, own)


def healthy(project: HealthyProject) -> None:
    review(project)


@fails("DIS001")
def wording_that_no_lawyer_has_read(project: HealthyProject) -> None:
    review(project, reviewed=False)


@fails("DIS001")
def a_reviewed_file_that_lacks_a_sentence(project: HealthyProject) -> None:
    review(project, reminder="")


@fails("DIS002")
def a_clinic_that_names_no_human(project: HealthyProject) -> None:
    project.patch.setattr("app.compliance.disclosure.checks.IS_HIPAA", True)
    review(project, person="")


@passes("DIS002")
def a_shop_that_names_no_human(project: HealthyProject) -> None:
    project.patch.setattr("app.compliance.disclosure.checks.IS_HIPAA", False)
    review(project, person="")


@fails("DIS003")
def a_log_without_the_proof(project: HealthyProject) -> None:
    project.patch.setenv("LOG_LEVEL", "warning")


@passes("DIS003")
def a_log_with_more_than_the_proof(project: HealthyProject) -> None:
    project.patch.setenv("LOG_LEVEL", "debug")
