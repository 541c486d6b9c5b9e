"""What TAC does unless it is told otherwise."""

from __future__ import annotations

from tests.kit.healthy_project import HealthyProject, fails, passes


@fails("TAC001")
def almost_off(project: HealthyProject) -> None:
    project.patch.setenv("TAC_ANALYTICS_DISABLED", "True")


@passes("TAC001")
def nothing_said(project: HealthyProject) -> None:
    project.patch.delenv("TAC_ANALYTICS_DISABLED", raising=False)
