"""Every test works on a snapshot of the working tree, with a git, a Copier and a network of its own."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import copier
import pytest
import yaml
from copier import VcsRef
from copier._cli import CopierApp

from tests import shortcuts
from tests.guard import sitecustomize as guard  # from here on, this process reaches nothing but this machine
from tests.offline import wall
from tests.questionnaire import ASKED, ROOT
from tests.shards import share_of_tests

Note = Callable[[str], None]
Figure = Callable[[str, int], None]
STARTED = time.monotonic()
SEED = os.environ.setdefault("SEED", datetime.now(UTC).date().isoformat())
"""What a night draws. All workers have the same one: they inherit the environment."""
RECORDED = ("reserved", "zone_delivered")  # in the answers file, and no answers
assert guard


class Render(Protocol):
    def __call__(self, project: Path, **answers: Any) -> Path: ...


class Command(Protocol):
    def __call__(self, *arguments: object, cwd: Path) -> str: ...


class Update(Protocol):
    def __call__(self, project: Path, **answers: Any) -> None: ...


def git(where: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=where, check=True, capture_output=True, encoding="utf-8")
    return done.stdout


def commit(project: Path) -> Path:
    """Put everything in `project` into git, as a user does before an update."""
    git(project, "init", "-q")
    git(project, "add", "--all")
    git(project, "commit", "-q", "--allow-empty", "-m", "Everything")
    return project


def files(project: Path) -> dict[str, bytes]:
    """Every file of a project by its path, except git's own."""
    paths = (path for path in project.rglob("*") if path.is_file())
    relative = {path.relative_to(project).as_posix(): path for path in paths}
    return {name: path.read_bytes() for name, path in relative.items() if not name.startswith(".git/")}


def recorded(project: Path) -> dict[str, Any]:
    """The answers that a project remembers, without what Copier adds and what was delivered to its zone."""
    answers = yaml.load((project / ".copier-answers.yml").read_bytes(), Loader=yaml.CSafeLoader)
    return {name: value for name, value in answers.items() if not name.startswith("_") and name not in RECORDED}


def machine_of_its_own(patch: pytest.MonkeyPatch, home: Path) -> None:
    """No setting of the user's reaches a test, and nothing of a test reaches the user."""
    (home / "gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.com\n[init]\ndefaultBranch = main\n")
    (home / "settings.yml").write_text("{}\n")
    without_bytecode = "PYTHONDONTWRITEBYTECODE"  # with it every start of an emitted project takes seconds more
    for name in [name for name in os.environ if name.startswith("GIT_")] + ["VIRTUAL_ENV", without_bytecode]:
        patch.delenv(name, raising=False)
    patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    patch.setenv("GIT_CONFIG_GLOBAL", str(home / "gitconfig"))
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    patch.setenv("COPIER_SETTINGS_PATH", str(home / "settings.yml"))
    patch.setenv("COPIER_CACHE_DIR", str(home / "copier"))
    patch.setenv("NETWORK_GUARD_LOG", str(home / "refused"))
    patch.setenv("MYPY_CACHE_DIR", str(home / "mypy"))


@pytest.fixture(scope="session", autouse=True)
def a_machine_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    home = tmp_path_factory.mktemp("machine")
    with pytest.MonkeyPatch.context() as patch:
        machine_of_its_own(patch, home)
        yield home


@pytest.fixture(autouse=True)
def network_blocked(a_machine_of_its_own: Path) -> Iterator[None]:
    """Fail a test that tries to leave the machine, even if the code swallows the error."""
    refused = a_machine_of_its_own / "refused"
    refused.unlink(missing_ok=True)
    yield
    assert not refused.exists(), f"left this machine for {refused.read_text()}"


def snapshot(folder: Path) -> Path:
    """The template as a plain folder: what a commit of the working tree would hold."""
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def released(folder: Path, repository: Path) -> Path:
    """The template as a release: a git repository with a tag."""
    commit(shutil.copytree(folder, repository))
    git(repository, "tag", "v0.1.0")
    return repository


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return snapshot(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def repository(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return released(folder, tmp_path_factory.mktemp("released") / "copier-twilio-agent")


@pytest.fixture(scope="module")
def quick(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        shortcuts.all_of_them(patch, folder, tmp_path_factory.mktemp("clones"))
        yield patch


@pytest.fixture(scope="module")
def render(folder: Path, quick: pytest.MonkeyPatch) -> Render:
    """Copy the plain folder, without trust. Fast, but such a project cannot be updated."""

    def copy(project: Path, **answers: Any) -> Path:
        assert answers.keys() <= ASKED.keys()
        copier.run_copy(str(folder), project, answers, defaults=True, unsafe=False, quiet=True)
        return project

    return copy


@pytest.fixture(scope="module")
def create(repository: Path, quick: pytest.MonkeyPatch) -> Render:
    """Copy the released template, without trust, and commit the project."""

    def copy(project: Path, **answers: Any) -> Path:
        assert answers.keys() <= ASKED.keys()
        copier.run_copy(str(repository), project, answers, defaults=True, unsafe=False, quiet=True)
        return commit(project)

    return copy


@pytest.fixture(scope="module")
def update(quick: pytest.MonkeyPatch) -> Update:
    """Answer differently, on the template version that the project has."""

    def change(project: Path, **answers: Any) -> None:
        copier.run_update(
            project, answers, defaults=True, overwrite=True, unsafe=False, quiet=True, vcs_ref=VcsRef.CURRENT
        )

    return change


@pytest.fixture(scope="module")
def command(quick: pytest.MonkeyPatch) -> Command:
    """Copier's command line, in this process and with its shortcuts. Returns what it says."""

    def run(*arguments: object, cwd: Path) -> str:
        said = io.StringIO()
        with contextlib.chdir(cwd), contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            _, code = CopierApp.run(["copier", *map(str, arguments)], exit=False)
        assert code == 0, said.getvalue()
        return said.getvalue()

    return run


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Print a line in the summary at the end of the run."""
    return lambda text: record_property("note", text)


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Count something of this test; the summary at the end of the run has the sum."""
    return lambda name, number: record_property("figure", [name, number])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    mine = set(share_of_tests(items))
    config.hook.pytest_deselected(items=[item for item in items if item not in mine])
    items[:] = [item for item in items if item in mine]


def mostly_at_night(rows: Sequence[tuple[Any, ...]], step: int) -> list[Any]:
    """Rows of a parametrized test; `make test` takes every `step`-th, from the first on, and a night all."""
    return [pytest.param(*row, marks=pytest.mark.matrix if number % step else ()) for number, row in enumerate(rows)]


def is_nightly(config: pytest.Config) -> bool:
    """Whether tests run that take long."""
    return str(config.getoption("markexpr")) != "not matrix"


def pytest_report_header() -> list[str]:
    return [f"wall between commands and the network: {wall()}", f"triples of this night: SEED={SEED}"]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The notes and figures of the tests, also for the page that GitHub shows of a run."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind if hasattr(report, "when")]
    properties = [pair for report in reports if report.when == "call" for pair in report.user_properties]
    figures = Counter[str]()
    for name, number in (value for kind, value in properties if kind == "figure"):
        figures[name] += number
    lines = [f"{number:,} {name}" for name, number in figures.items()]
    lines += sorted({text for kind, text in properties if kind == "note"})
    if not lines:
        return
    lines.append(f"{time.monotonic() - STARTED:,.0f} seconds")
    terminalreporter.section("notes")
    for line in lines:
        terminalreporter.line(line)
    is_worker = hasattr(terminalreporter.config, "workerinput")  # of xdist, with a part of the reports
    if (page := os.environ.get("GITHUB_STEP_SUMMARY")) and not is_worker:
        with open(page, "a", encoding="utf-8") as summary:
            summary.writelines(f"- {line}\n" for line in lines)
