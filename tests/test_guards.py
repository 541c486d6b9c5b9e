"""Each guard of guards.yml and gate of gates.yml can be taken away, and a test goes red without it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.conftest import Render
from tests.offline import offline
from tests.questionnaire import DEFAULTS, ROOT, Answers
from tests.test_emitted import UV, install, workbench_tests


def listed(name: str) -> list[Answers]:
    return yaml.safe_load((ROOT / "tests" / name).read_text(encoding="utf-8")) or []


def kinds(guards: list[Answers]) -> list[Answers]:
    """The projects that have them."""
    return list({str(guard["answers"]): guard["answers"] for guard in guards}.values())


GUARDS = listed("guards.yml")
KINDS = kinds(GUARDS)
ALL = [*GUARDS, *listed("gates.yml")]


def without(guard: Answers, project: Path) -> None:
    """Remove the guard from the project."""
    path = project / guard["file"]
    text = path.read_text(encoding="utf-8")
    assert text.count(guard["remove"]) == 1, f"{guard['remove']!r} must stand once in {guard['file']}"
    path.write_text(text.replace(guard["remove"], guard["leave"]), encoding="utf-8")


def is_green(project: Path, test: str, folder: Path) -> bool:
    """Whether the test file passes. One that hangs does not."""
    command = [UV, "run", "--no-sync", "pytest", "-q", "-x", test]
    wrapped, environment = offline(command, folder / "refused")
    try:
        done = subprocess.run(wrapped, cwd=project, env=environment, capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@pytest.mark.parametrize(
    "guard",
    [*GUARDS, *(pytest.param(gate, marks=pytest.mark.matrix) for gate in ALL[len(GUARDS) :])],
    ids=lambda guard: guard["guard"],
)
def test_a_guard_can_be_taken_away(guard: Answers, render: Render, tmp_path: Path) -> None:
    project = render(tmp_path / "project", **guard["answers"])
    without(guard, project)
    if guard["file"].endswith(".py"):
        compile((project / guard["file"]).read_text(encoding="utf-8"), guard["file"], "exec")
    workbench_tests(project)
    assert (project / guard["test"]).is_file()


@pytest.fixture(scope="module", params=kinds(ALL), ids=str)
def installed(
    request: pytest.FixtureRequest, render: Render, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Answers, Path]]:
    place = tmp_path_factory.mktemp("guarded") / "project"
    project = install(render(place, **request.param), DEFAULTS["python_version"])
    workbench_tests(project)
    yield request.param, project


@pytest.mark.matrix
def test_without_a_guard_a_test_goes_red(installed: tuple[Answers, Path], tmp_path: Path) -> None:
    answers, project = installed
    mine = [guard for guard in ALL if guard["answers"] == answers]
    for test in {guard["test"] for guard in mine}:
        assert is_green(project, test, tmp_path), f"{test} is red with all guards"
    useless = []
    for guard in mine:
        kept = (project / guard["file"]).read_bytes()
        without(guard, project)
        if is_green(project, guard["test"], tmp_path):
            useless.append(guard["guard"])
        (project / guard["file"]).write_bytes(kept)
    assert useless == []
