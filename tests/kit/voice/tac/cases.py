"""Cases of the checks of TAC."""

from __future__ import annotations

from tests.kit.healthy_project import HealthyProject, fails, passes


@fails("TAC001")
def a_value_in_the_wrong_case(project: HealthyProject) -> None:
    project.patch.setenv("TAC_ANALYTICS_DISABLED", "True")


@passes("TAC001")
def an_unset_variable(project: HealthyProject) -> None:
    project.patch.delenv("TAC_ANALYTICS_DISABLED", raising=False)
