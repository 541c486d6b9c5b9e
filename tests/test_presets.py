"""The files of presets/: answers for projects that somebody has in mind."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from hooks.check import Interview
from tests.conftest import Note, Render, files, recorded
from tests.project_files import problems
from tests.questionnaire import ASKED, DEFAULTS, ROOT, Answers, is_asked, record
from tests.renderer import expected_files
from tests.test_emitted import install, run_offline, run_suite
from tests.test_prompts import ENTER, Terminal

PRESETS = sorted((ROOT / "presets").iterdir())
each_preset = pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.stem)


def answers_of(preset: Path) -> Answers:
    return dict(yaml.safe_load(preset.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def interview(folder: Path, quick: pytest.MonkeyPatch) -> Interview:
    return Interview(folder)


def test_the_page_lists_every_preset() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| .+ \| .+ \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(set(rows) - ASKED.keys()) == [preset.stem for preset in PRESETS]


@each_preset
def test_a_preset_says_whom_it_is_for(preset: Path) -> None:
    lines = preset.read_text(encoding="utf-8").splitlines()
    assert [line[:2] == "# " for line in lines[:3]] == [True, True, False]
    assert lines[0].startswith("# For ") and all(len(line) <= 120 for line in lines)


@each_preset
def test_a_preset_answers_all_but_the_name(preset: Path) -> None:
    answers = answers_of(preset)
    asked = [name for name in ASKED if ASKED[name].get("ask", True) and is_asked(name, answers)]
    assert set(asked) - answers.keys() == {"project_name"}


@each_preset
def test_a_preset_becomes_a_project(preset: Path, interview: Interview, render: Render, tmp_path: Path) -> None:
    """What it leaves open are matters that no answer settles."""
    answers = answers_of(preset)
    report = interview.judge(answers)
    assert report.problems == [] and [row["id"] for row in report.questions if row["try"]] == []
    project = render(tmp_path / "project", **answers)
    assert recorded(project) == record(answers) == report.answers
    assert problems({name: body.decode() for name, body in files(project).items()}) == []
    assert files(project).keys() == expected_files(answers)


def test_copier_asks_for_the_name_only(folder: Path, tmp_path: Path) -> None:
    preset, project = folder / "presets" / "clinic-hipaa.yml", tmp_path / "project"
    terminal = Terminal("copy", "--data-file", str(preset), str(folder), str(project))
    terminal.asks("project_name")
    terminal.types(ENTER)
    terminal.finishes()
    assert recorded(project) == record(answers_of(preset))


@pytest.mark.matrix
@each_preset
def test_a_project_of_a_preset_runs(preset: Path, render: Render, tmp_path: Path, note: Note) -> None:
    project = install(render(tmp_path / "project", **answers_of(preset)), DEFAULTS["python_version"])
    run_suite(project, note, workbench=False)
    for command in ("mypy", "ruff check .", "ruff format --check ."):
        run_offline(project, command)
