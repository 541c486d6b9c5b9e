"""Plan: read every resource and compare it with its wanted state. Changes nothing."""

from __future__ import annotations

from kit import conventions
from kit.setup.resource import Resource, SetupContext, Step


def resources(setup: SetupContext) -> list[Resource]:
    return [resource for kind in conventions.resources() for resource in kind.all(setup)]


async def plan(setup: SetupContext) -> list[Step]:
    """The steps that `apply` would take now."""
    return [await resource.compare() for resource in resources(setup)]
