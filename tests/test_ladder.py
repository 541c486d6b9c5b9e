"""A project with edits climbs the ladder and steps down again by the README's commands, and is green on every rung."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Command, Note, Render, commit, files, recorded
from tests.questionnaire import ROOT, choices
from tests.test_emitted import install, run_offline, run_suite
from tests.test_updates import assert_clean

TOOL = '''

async def opening_hours() -> str:
    """Say when the shop is open."""
    return "From nine to five."
'''
CLIMB = ["2", "3", "4", "3", "2", "1"]
PATHS = [  # the ladder of the others is almost that of tac
    pytest.param(path, marks=pytest.mark.matrix if path != "tac" else ()) for path in choices("path")
]


def edit(project: Path) -> dict[str, bytes]:
    """A first week's work. Returns the files that an update must leave as they are."""
    prompt = project / "agent" / "prompt.md"
    prompt.write_text(f"You are Ada, who answers the phone of a tea shop.\n\n{prompt.read_text()}")
    with (project / "agent" / "tools.py").open("a") as tools:
        tools.write(TOOL)
    with (project / "README.md").open("a") as readme:
        readme.write("\n## Our tea\n\nGreen, mostly.\n")
    pyproject = project / "pyproject.toml"
    anchor = "dependencies = [\n"
    pyproject.write_text(pyproject.read_text().replace(anchor, f'{anchor}    "phonenumbers>=9,<10",\n', 1))
    (project / "tests" / "test_tea.py").write_text('def test_tea() -> None:\n    assert "tea"\n')
    commit(project)
    kept = ["agent/prompt.md", "agent/tools.py", "tests/test_tea.py"]
    return {name: body for name, body in files(project).items() if name in kept}


def shown(level: str) -> list[str]:
    """The arguments of the README's command."""
    found = re.search(r"uvx copier (update .*?level=)\d", (ROOT / "README.md").read_text())
    assert found
    return f"{found[1]}{level}".split()


def climb(project: Path, mine: dict[str, bytes], run: Command) -> Iterator[str]:
    """Update to every level, and commit each."""
    for level in CLIMB:
        run(*shown(level), cwd=project)
        assert_clean(project)
        now = files(project)
        assert {name: now[name] for name in mine} == mine
        assert now["README.md"].endswith(b"\n## Our tea\n\nGreen, mostly.\n")
        assert now["pyproject.toml"].count(b'    "phonenumbers>=9,<10",\n') == 1
        assert recorded(project)["level"] == level
        commit(project)
        yield level


@pytest.mark.parametrize("path", PATHS)
def test_edits_survive_the_climb(path: str, create: Render, command: Command, tmp_path: Path) -> None:
    project = create(tmp_path / "project", path=path)
    assert list(climb(project, edit(project), command)) == CLIMB


@pytest.mark.matrix
@pytest.mark.parametrize("path", choices("path"))
def test_a_project_with_edits_is_green_on_every_rung(
    path: str, create: Render, command: Command, tmp_path: Path, note: Note
) -> None:
    project = create(tmp_path / "project", path=path)
    for _ in climb(project, edit(project), command):
        install(project, "3.11")
        run_suite(project, note)
        for check in ["ruff check .", "ruff format --check .", "mypy"]:
            run_offline(project, check)
        commit(project)  # the lock file of this rung
