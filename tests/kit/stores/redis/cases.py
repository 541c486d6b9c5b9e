"""Redis whose answers others can read."""

from __future__ import annotations

from tests.kit.healthy_project import HealthyProject, fails, passes


@fails("RED001")
def without_tls(project: HealthyProject) -> None:
    project.patch.setenv("REDIS_URL", "redis://cache.example.com:6379/0")


@passes("RED001")
def with_tls(project: HealthyProject) -> None:
    project.patch.setenv("REDIS_URL", "rediss://:secret@cache.example.com:6379/0")


@passes("RED001")
def beside_it_in_compose(project: HealthyProject) -> None:
    project.patch.setenv("REDIS_URL", "redis://redis:6379/0")
