"""Databases that do not answer, or are not shared."""

from __future__ import annotations

from tests.kit.healthy_project import HealthyProject, fails, passes


def healthy(project: HealthyProject) -> None:
    project.patch.setattr("app.registry.STORE.shared", False)


@fails("DBM001", "HIP001", "OUT002")  # a session store needs a BAA, and a ledger is shared
def a_file_for_several_workers(project: HealthyProject) -> None:
    project.patch.setattr("app.registry.STORE.shared", True)
    project.patch.setenv("DATABASE_URL", "sqlite:///./agent.db")


@passes("DBM001")
def a_file_for_one(project: HealthyProject) -> None:
    project.patch.setenv("DATABASE_URL", "sqlite:///./agent.db")


@fails("DBM002")
def a_database_that_is_down(project: HealthyProject) -> None:
    project.patch.setenv("DATABASE_URL", "postgresql://agent:a-key-for-tests@127.0.0.1:1/agent")


@fails("DBM003")
def tables_of_a_later_release(project: HealthyProject) -> None:
    line = "DATABASE_URL: agent.db has version 9 of the tables of memory, and this release has version 2."
    project.patch.setattr("app.database.Database.start_problems", staticmethod(lambda settings: [line]))


@fails("DBM002")
def a_file_in_a_missing_folder(project: HealthyProject) -> None:
    project.patch.setenv("DATABASE_URL", "sqlite:///./nowhere/agent.db")
