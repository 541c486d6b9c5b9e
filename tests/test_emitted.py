"""Emitted projects, installed for real and then cut off from the network: they pass their own tests."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uv

from hooks.check import Interview
from tests.conftest import SEED, Figure, Note, Render, commit, git, is_nightly
from tests.offline import offline, wall
from tests.pages import UNKNOWN, commands, pages
from tests.pairs import Triple, each_shape_once, every_pair, interpreter, options, pairs, pairwise, tonight, triples
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


def run_offline(project: Path, command: str, guard_only: bool = False, limit: float = 600) -> str:
    log = project.parent / "refused"
    wrapped, environment = offline([UV, "run", "--no-sync", *shlex.split(command)], log, guard_only)
    done = subprocess.run(wrapped, cwd=project, env=environment, capture_output=True, encoding="utf-8", timeout=limit)
    assert done.returncode == 0, f"{command}\n{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    assert not log.exists(), f"{command} left this machine for {log.read_text()}"
    return done.stdout


def grouped(path: str) -> Any:
    """The same worker installs a project and tests it; those of other paths than TAC at night."""
    return pytest.param(path, marks=[pytest.mark.xdist_group(path), *([pytest.mark.matrix] if path != "tac" else [])])


@pytest.fixture(scope="module", params=[grouped(path) for path in choices("path")])
def project(request: pytest.FixtureRequest, render: Render, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The default project of a path."""
    place = tmp_path_factory.mktemp(request.param) / "project"
    yield install(render(place, path=request.param), DEFAULTS["python_version"])


def read_pages(project: Path, note: Note) -> None:
    """Type what the pages say: tests, scenarios, ruff, mypy and all other commands are content. They leave a lock."""
    names = git(project, "ls-files", "-z", "*.md").split("\0")
    read = pages({name: (project / name).read_text(encoding="utf-8") for name in filter(None, names)})
    shown = {line.partition("#")[0].strip() for line in read["README.md"].splitlines()}
    assert {"uv run pytest", "uv run agent scenario"} <= shown and "uv run mypy" in read["AGENTS.md"]
    log = project.parent / "refused"
    skipped = [reason for page in read for reason in run(project / page, project, refused=log)]
    assert not log.exists(), f"left this machine for {log.read_text()}"
    assert git(project, "status", "--porcelain").split() == ["??", "uv.lock"]
    named = sorted(set().union(*map(commands, read.values())))
    assert run_offline(project, shlex.join(["python", "-c", UNKNOWN, json.dumps(named)])) == ""
    for reason in set(skipped):
        note(f"not run of emitted pages: {reason}")
    note(f"emitted projects ran behind {wall()}")


def test_the_pages_do_what_they_say_offline(project: Path, note: Note) -> None:
    read_pages(project, note)


def test_the_server_passes_its_own_tests(project: Path) -> None:
    """A row of FEW has almost those of another path, and more."""
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
REGULATED: list[Answers] = [
    {"path": "manual", "level": "4", "regulations": ["hipaa", "gdpr"], "recording": True},
    {"path": "manual", "level": "3", "regulations": ["hipaa", "pci", "gdpr", "eu_ai_act"], "recording": True},
    {"path": "manual", "level": "4", "regulations": ["pci"], "languages": ["es-MX", "en-US"]},
    {"path": "tac", "level": "4", "channels": "omnichannel", "regulations": ["gdpr", "eu_ai_act"], "recording": True},
    {"path": "aws", "level": "2", "channels": "voice_and_messaging", "regulations": ["eu_ai_act"]},
    {"path": "azure", "level": "1", "regulations": ["gdpr"], "recording": True},
    {"path": "manual", "level": "1", "outcome": "outbound", "regulations": ["tcpa", "fdcpa"]},
]
READING = [*({"path": path} for path in choices("path")), *map(asked, pairwise()), *REGULATED]
"""The projects that read their pages."""
NIGHTLY = 6
"""How many more projects a night draws."""
Share = tuple[int, int]  # 0 of 2: the first half of the files


def run_suite(project: Path, note: Note, workbench: bool = True, share: Share = (0, 1), brief: bool = False) -> None:
    """All tests of a project, and those of its workbench. A second try tells a busy machine from a defect.

    `brief` leaves most of the server's own tests, and of the workbench's in its folders, to the night.
    """
    run_offline(project, "pytest -q")
    own = sorted(path.relative_to(project) for path in (project / "app").rglob("test_*.py"))
    skipped = [path for number, path in enumerate(own) if brief and (number + share[0]) % 4]
    suites = [" ".join(["agent selftest -q -n 0", *(f"--ignore={path}" for path in skipped)])]  # in one process
    if workbench:
        suites += [f"pytest -q {each}" for each in workbench_tests(project, share, brief)]
    for suite in suites:
        try:
            run_offline(project, suite)
        except AssertionError as failure:
            run_offline(project, f"{suite} --last-failed")
            note(f"passed at the second try: {re.findall('FAILED .*', str(failure)) or 'the end of the run'}")
    if workbench:
        shutil.rmtree(project / "tests" / "kit")
        (project / "tests" / "__init__.py").unlink()
    run_offline(project, "agent scenario")


def workbench_tests(project: Path, share: Share = (0, 1), brief: bool = False) -> list[str]:
    """Copy the tests of `kit/` into the project: those of the folders that it has, and a share of the others.

    With a share, the project runs only every second test of its folders; if `brief`, every tenth.
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
    of_folders = (2 if step > 1 else 1) * (5 if brief else 1)
    steps = [of_folders if path.parent.name else step for path in files]
    left_out = [path for number, path in enumerate(files) if (number + first) % steps[number]]
    return [" ".join(["tests/kit", *(f"--ignore=tests/kit/{path}" for path in left_out)])]


@pytest.mark.matrix
@pytest.mark.parametrize("answers", REGULATED, ids=str)
def test_a_project_under_regulations_passes_its_own_tests(
    answers: Answers, render: Render, tmp_path: Path, note: Note, figure: Figure
) -> None:
    project = install(render(tmp_path / "project", **answers), DEFAULTS["python_version"])
    run_suite(project, note)
    read_pages(project, note)
    figure("projects installed and tested", 1)


@pytest.mark.parametrize("answers", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_a_project_passes_its_own_tests(
    answers: Answers, render: Render, tmp_path: Path, note: Note, figure: Figure, request: pytest.FixtureRequest
) -> None:
    """One of the few projects runs a test of the workbench that concerns all, and every eighth of the many.

    In `make test` the few do not read their pages, which the default projects do.
    """
    project = install(render(tmp_path / "project", **asked(answers)), answers["python_version"])
    share = (FEW.index(answers), 4) if answers in FEW else (MANY.index(answers), 8)
    run_suite(project, note, share=share, brief=answers in FEW and not is_nightly(request.config))
    if (project / "app" / "memory" / "database").exists():
        said = run_offline(project, "pytest -q app/memory/database", guard_only=True)
        assert "skipped" not in said, "PostgreSQL did not start"
    if answers in MANY or is_nightly(request.config):
        read_pages(project, note)
    figure("projects installed and tested", 1)


@pytest.mark.parametrize("seed", ["2026-11-29", *(pytest.param(str(n), marks=pytest.mark.matrix) for n in range(30))])
def test_a_night_draws_answers_that_go_together_and_were_not_yet(
    seed: str, folder: Path, quick: pytest.MonkeyPatch, note: Note
) -> None:
    interview, seen = Interview(folder), set[Triple]().union(*map(triples, pairwise()))
    note(f"{len(seen):,} triples of answers are in a row of the pairs")
    for answers in tonight(seed, NIGHTLY):
        assert interview.judge(asked(answers)).problems == []
        assert not triples(answers) <= seen
        seen |= triples(answers)


@pytest.mark.matrix
@pytest.mark.parametrize("number", range(NIGHTLY))
def test_a_project_of_this_night_passes_its_own_tests(
    number: int, render: Render, tmp_path: Path, note: Note, figure: Figure
) -> None:
    """Answers in threes that no other project has together; other ones every night."""
    answers = tonight(SEED, NIGHTLY)[number]
    note(f"SEED={SEED}, project {number}: {asked(answers)}")
    project = install(render(tmp_path / "project", **asked(answers)), answers["python_version"])
    run_suite(project, note, share=(number, 8))
    read_pages(project, note)
    figure("projects installed and tested", 1)
