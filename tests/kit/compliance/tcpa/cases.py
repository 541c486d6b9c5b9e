"""Do-not-call lists that are missing or old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.kit.healthy_project import HealthyProject, fails, passes


def list_of(project: HealthyProject, days: int) -> None:
    as_of = (datetime.now(UTC) - timedelta(days=days)).date()
    (project.root / "list.txt").write_text(f"# as of {as_of}\n+12125550123\n")
    project.patch.setenv("AGENT_DO_NOT_CALL_FILE", "list.txt")


def healthy(project: HealthyProject) -> None:
    list_of(project, 1)


@fails("TCP001")
def a_list_of_last_quarter(project: HealthyProject) -> None:
    list_of(project, 90)


@fails("TCP001")
def no_list(project: HealthyProject) -> None:
    project.patch.delenv("AGENT_DO_NOT_CALL_FILE")


@passes("TCP001")
def a_list_of_last_month(project: HealthyProject) -> None:
    list_of(project, 30)
