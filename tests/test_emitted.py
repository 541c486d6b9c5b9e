"""Emitted projects, installed for real and then cut off from the network: they pass their own tests."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import uv

from tests.conftest import Note, Render, commit, git
from tests.offline import offline, wall
from tests.pairs import each_shape_once, every_pair, interpreter, options, pairs, pairwise
from tests.questionnaire import DEFAULTS, ROOT, Answers, asked, choices
from tests.readme import run

UV = uv.find_uv_bin()


def install(project: Path, python: str) -> Path:
    """Install as the README says. Packages come from uv's cache where it has them."""
    commit(project)
    sync = [UV, "sync", "--quiet", "--all-groups", "--python", interpreter(python) or python]
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
    """The same worker installs a project and tests it. Rows of FEW have the other paths."""
    slow = [pytest.mark.matrix] if path in ("aws", "azure") else []
    return pytest.param(path, marks=[pytest.mark.xdist_group(path), *slow])


@pytest.fixture(scope="module", params=map(grouped, choices("path")))
def project(request: pytest.FixtureRequest, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The default project of a path."""
    place = tmp_path_factory.mktemp(request.param) / "project"
    yield install(render(place, path=request.param), DEFAULTS["python_version"])


@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy"])
def test_a_new_project_is_well_kept(project: Path, command: str) -> None:
    run_offline(project, command)


def test_the_pages_do_what_they_say_offline(project: Path, note: Note) -> None:
    """README.md and docs/: tests and scenarios are green, and so is every other command. They leave a lock file."""
    pages = [project / "README.md", *sorted(project.glob("docs/*.md"))]
    shown = {line.partition("#")[0].strip() for line in pages[0].read_text().splitlines()}
    assert {"uv run pytest", "uv run agent scenario"} <= shown
    log = project.parent / "refused"
    skipped = [reason for page in pages for reason in run(page, project, refused=log)]
    assert not log.exists(), f"left this machine for {log.read_text()}"
    assert git(project, "status", "--porcelain").split() == ["??", "uv.lock"]
    note(f"emitted pages: {len(skipped)} blocks not run: {'; '.join(skipped)}")
    note(f"emitted projects ran behind {wall()}")


def test_the_server_passes_its_own_tests(project: Path) -> None:
    run_offline(project, "agent selftest")


def test_the_pairs_are_complete() -> None:
    covered = set().union(*map(pairs, pairwise()))
    assert covered == every_pair()


def test_every_python_is_tried(note: Note) -> None:
    absent = [python for python in choices("python_version") if python not in options()["python_version"]]
    note(f"Pythons that this machine has not: {', '.join(absent) or 'none'}")
    assert len(absent) < len(choices("python_version"))


FEW = each_shape_once(pairwise())
MANY = [row for row in pairwise() if row not in FEW]
ROWS = [*FEW, *(pytest.param(row, marks=pytest.mark.matrix) for row in MANY)]
Share = tuple[int, int]  # 0 of 2: the first half of the files


def run_suite(project: Path, note: Note, workbench: bool = True, share: Share = (0, 1)) -> None:
    """All tests of a project, and those of its workbench. A second try tells a busy machine from a defect."""
    run_offline(project, "pytest -q")
    for tests in ["app", *(workbench_tests(project, share) if workbench else ())]:
        try:
            run_offline(project, f"pytest -q {tests}")
        except AssertionError as failure:
            run_offline(project, f"pytest -q --last-failed {tests}")
            note(f"passed at the second try: {re.findall('FAILED .*', str(failure)) or 'the end of the run'}")
    if workbench:
        shutil.rmtree(project / "tests" / "kit")
        (project / "tests" / "__init__.py").unlink()
    run_offline(project, "agent scenario")


def workbench_tests(project: Path, share: Share = (0, 1)) -> list[str]:
    """Copy the tests of `kit/` into the project: those of the folders that it has, and a share of the others.

    With a share, the project runs only every second test of its folders.
    """
    place = project / "tests" / "kit"
    shutil.copytree(ROOT / "tests" / "kit", place, ignore=shutil.ignore_patterns("__pycache__"))
    (project / "tests" / "__init__.py").touch()
    for folder in [path for path in place.rglob("*") if path.is_dir()]:
        if not any((project / "app" / folder.relative_to(place)).glob("*.py")):  # an update leaves caches behind
            shutil.rmtree(folder, ignore_errors=True)
    if not (project / "app" / "voice").exists():
        for path in place.rglob("test_*_calls.py"):
            path.unlink()
    files, (first, step) = sorted(path.relative_to(place) for path in place.rglob("test_*.py")), share
    steps = [(2 if step > 1 else 1) if path.parent.name else step for path in files]
    left_out = [path for number, path in enumerate(files) if (number + first) % steps[number]]
    return [" ".join(["tests/kit", *(f"--ignore=tests/kit/{path}" for path in left_out)])]


REGULATED: list[Answers] = [
    {"path": "manual", "level": "4", "regulations": ["hipaa", "gdpr"], "recording": True},
    {"path": "manual", "level": "3", "regulations": ["hipaa", "pci", "gdpr", "eu_ai_act"], "recording": True},
    {"path": "manual", "level": "4", "regulations": ["pci"], "languages": ["es-MX", "en-US"]},
    {"path": "tac", "level": "4", "channels": "omnichannel", "regulations": ["gdpr", "eu_ai_act"], "recording": True},
    {"path": "aws", "level": "2", "channels": "voice_and_messaging", "regulations": ["eu_ai_act"]},
    {"path": "azure", "level": "1", "regulations": ["gdpr"], "recording": True},
]


@pytest.mark.matrix
@pytest.mark.parametrize("answers", REGULATED, ids=str)
def test_a_project_under_regulations_passes_its_own_tests(
    answers: Answers, render: Render, tmp_path: Path, note: Note
) -> None:
    project = install(render(tmp_path / "project", **answers), DEFAULTS["python_version"])
    run_suite(project, note)
    run_offline(project, "mypy")


@pytest.mark.parametrize("answers", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_a_project_passes_its_own_tests(answers: Answers, render: Render, tmp_path: Path, note: Note) -> None:
    """One of the few projects runs a test of the workbench that concerns all, and every eighth of the many."""
    project = install(render(tmp_path / "project", **asked(answers)), answers["python_version"])
    run_suite(project, note, share=(FEW.index(answers), 4) if answers in FEW else (MANY.index(answers), 8))
    if (project / "app" / "memory" / "database").exists():
        said = run_offline(project, "pytest -q app/database app/memory/database", guard_only=True)
        assert "skipped" not in said, "PostgreSQL did not start"
