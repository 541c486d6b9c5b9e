"""The CloudFormation stack of deploy/, parsed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from app.registry import ProjectSettings

DEPLOY = Path(__file__).parents[4] / "deploy"
(STACK,) = (path for path in DEPLOY.glob("*.yml") if path.name != "network.yml")
TEMPLATE: dict[str, Any] = yaml.safe_load(STACK.read_text(encoding="utf-8"))
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
FIELDS = {str(field.alias): field for field in ProjectSettings.model_fields.values()}
NOT_OURS = {"TAC_ANALYTICS_DISABLED"}  # read by a library


def properties(kind: str) -> list[dict[str, Any]]:
    return [each.get("Properties", {}) for each in RESOURCES.values() if each["Type"] == f"AWS::{kind}"]


def only(kind: str) -> dict[str, Any]:
    (found,) = properties(kind)
    return found


def attributes(listed: list[dict[str, str]]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in listed}


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements() -> Iterator[dict[str, Any]]:
    for role in properties("IAM::Role"):
        assert "ManagedPolicyArns" not in role
        for policy in role["Policies"]:
            yield from policy["PolicyDocument"]["Statement"]
    for policy in properties("IAM::RolePolicy"):
        yield from policy["PolicyDocument"]["Statement"]


def text(resource: Any) -> str:
    """A resource as it stands in a policy; a parameter is the user's."""
    return str(resource.get("Fn::Sub", resource) if isinstance(resource, dict) else resource)
