"""Emitted projects, installed for real and then cut off from the network: they pass their own tests."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv

from tests.conftest import Note, Render, commit, git
from tests.offline import offline, wall
from tests.pairs import each_shape_once, every_pair, interpreter, options, pairs, pairwise
from tests.questionnaire import DEFAULTS, Answers, asked, choices
from tests.readme import run

UV = uv.find_uv_bin()


def install(project: Path, python: str) -> Path:
    """What the README says first. Packages come from uv's cache where it has them."""
    commit(project)
    sync = [UV, "sync", "--quiet", "--python", interpreter(python) or python]
    done = subprocess.run(sync, cwd=project, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return project


def run_offline(project: Path, command: str, guard_only: bool = False) -> str:
    log = project.parent / "refused"
    wrapped, environment = offline([UV, "run", "--no-sync", *shlex.split(command)], log, guard_only)
    done = subprocess.run(wrapped, cwd=project, env=environment, capture_output=True, encoding="utf-8", timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    assert not log.exists(), f"{command} left this machine for {log.read_text()}"
    return done.stdout


def grouped(path: str) -> object:
    """One process installs the project, and the same one tests it."""
    return pytest.param(path, marks=pytest.mark.xdist_group(path))


@pytest.fixture(scope="module", params=map(grouped, choices("path")))
def project(request: pytest.FixtureRequest, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The default project of a path."""
    place = tmp_path_factory.mktemp(request.param) / "project"
    yield install(render(place, path=request.param), DEFAULTS["python_version"])


@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy"])
def test_a_new_project_is_well_kept(project: Path, command: str) -> None:
    run_offline(project, command)


def test_the_readme_does_what_it_says_offline(project: Path, note: Note) -> None:
    """Its tests and its scenarios are green, and so is what else it shows. All that it leaves behind is a lock file."""
    readme = project / "README.md"
    assert {"uv run pytest -q", "uv run agent scenario"} <= set(readme.read_text().splitlines())
    log = project.parent / "refused"
    try:
        skipped = run(readme, project, refused=log)
    except AssertionError:  # as in run_suite
        skipped = run(readme, project, refused=log)
        note(f"README passed at the second try: {project.parent.name}")
    assert not log.exists(), f"left this machine for {log.read_text()}"
    assert git(project, "status", "--porcelain").split() == ["??", "uv.lock"]
    note(f"emitted README: {len(skipped)} blocks not run: {'; '.join(skipped)}")
    note(f"emitted projects ran behind {wall()}")


def test_the_pairs_are_complete() -> None:
    covered = set().union(*map(pairs, pairwise()))
    assert covered == every_pair()


def test_every_python_is_tried(note: Note) -> None:
    absent = [python for python in choices("python_version") if python not in options()["python_version"]]
    note(f"Pythons that this machine has not: {', '.join(absent) or 'none'}")
    assert len(absent) < len(choices("python_version"))


FEW = each_shape_once(pairwise())
ROWS = [pytest.param(row, marks=() if row in FEW else pytest.mark.matrix) for row in pairwise()]


def run_suite(project: Path, note: Note) -> None:
    """The project's own tests and scenarios. Some measure time: a second try tells a busy machine from a defect."""
    try:
        run_offline(project, "pytest -q -n 0")  # other rows run beside this one
    except AssertionError as failure:
        run_offline(project, "pytest -q -n 0 --last-failed")
        note(f"passed at the second try: {re.findall('FAILED .*', str(failure)) or 'the end of the run'}")
    run_offline(project, "agent scenario")


@pytest.mark.parametrize("answers", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_a_project_passes_its_own_tests(answers: Answers, render: Render, tmp_path: Path, note: Note) -> None:
    project = install(render(tmp_path / "project", **asked(answers)), answers["python_version"])
    run_suite(project, note)
    if (project / "tests" / "test_memory_database.py").exists():
        said = run_offline(project, "pytest -q -n 0 tests/test_memory_database.py", guard_only=True)
        assert "skipped" not in said, "PostgreSQL did not start"
