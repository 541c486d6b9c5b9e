"""Words before a recording that no lawyer has read."""

from __future__ import annotations

from typing import Any

from app.compliance.recording.wording import wording
from tests.kit.healthy_project import HealthyProject, fails


def review(project: HealthyProject, **changes: Any) -> None:
    for language, sentences in wording.defaults.items():
        project.patch.setitem(wording.own, language, {**sentences, "reviewed": True, **changes})


def healthy(project: HealthyProject) -> None:
    review(project)


@fails("REC001")
def words_that_no_lawyer_has_read(project: HealthyProject) -> None:
    review(project, reviewed=False)


@fails("REC001")
def a_reviewed_file_without_the_introduction(project: HealthyProject) -> None:
    review(project, introduction="")
