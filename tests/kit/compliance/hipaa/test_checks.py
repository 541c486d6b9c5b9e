"""Each check of HIPAA alone, with the cases that it must find and those that it must not."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.compliance.hipaa import checks
from kit import defaults
from kit.doctor.check import Check
from kit.plugin import silence_logs
from tests.kit.compliance.hipaa import cases
from tests.kit.healthy_project import FAILING, PASSING, Case, HealthyProject

CHECKS = {check.code: check for check in vars(checks).values() if isinstance(check, Check)}
FAILS = [(code, case) for code in CHECKS for case, _ in FAILING[code]]
PASSES = [(code, case) for code in CHECKS for case in [*PASSING[code], cases.healthy]]


async def findings(code: str, case: Case, root: Path, patch: pytest.MonkeyPatch) -> list[str]:
    project = HealthyProject(root, patch)
    for number in project.simulated.numbers.records.values():
        number["voice_url"] = f"{defaults.PUBLIC_URL}/twiml"
    cases.healthy(project)
    case(project)
    report = await project.diagnose([CHECKS[code]])
    silence_logs()
    return [finding.message for finding in report.findings]


@pytest.mark.parametrize(("code", "case"), FAILS, ids=[case.__name__ for _, case in FAILS])
async def test_a_failing_case_is_found(code: str, case: Case, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    found = await findings(code, case, tmp_path, environment)
    assert found and "could not be checked" not in str(found)


@pytest.mark.parametrize(("code", "case"), PASSES, ids=[f"{code}-{case.__name__}" for code, case in PASSES])
async def test_a_passing_case_is_not(code: str, case: Case, tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    assert await findings(code, case, tmp_path, environment) == []
