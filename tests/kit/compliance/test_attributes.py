"""`agent doctor` finds a feature of ConversationRelay that a regulation bars, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.compliance.checks import attributes_are_allowed
from tests.kit.compliance import cases
from tests.kit.healthy_project import Case, HealthyProject


async def findings(case: Case, place: Path, environment: pytest.MonkeyPatch) -> list[str]:
    project = HealthyProject(place, environment)
    case(project)
    return [finding.code for finding in (await project.diagnose([attributes_are_allowed])).findings]


BARRED = [
    cases.an_attribute_of_a_barred_feature,
    cases.a_value_of_a_barred_feature,
    cases.an_element_of_a_barred_feature,
]
ALLOWED = [
    cases.an_attribute_of_an_allowed_feature,
    cases.an_attribute_that_is_not_there,
    cases.another_value_of_an_attribute,
]


@pytest.mark.parametrize("case", BARRED)
async def test_a_barred_attribute_is_found(case: Case, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    assert await findings(case, tmp_path, environment) == ["REG001"]


@pytest.mark.parametrize("case", ALLOWED)
async def test_other_attributes_are_not(case: Case, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    assert await findings(case, tmp_path, environment) == []
