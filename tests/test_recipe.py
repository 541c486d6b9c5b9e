"""CONTRIBUTING's recipe for a capability, followed word for word: every command finds the new folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import commit
from tests.questionnaire import ROOT
from tests.test_emitted import install, run_offline

BLOCK = re.compile(
    r"^ *```(?:yaml|text|python) (?P<place>\S+)(?: (?P<part>\S+))?\n(?P<body>.*?)^ *```$", re.DOTALL | re.MULTILINE
)


def followed(template: Path) -> Path:
    """Apply the steps of the page to a copy of the template."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for block in BLOCK.finditer(page):
        place, body = block["place"], textwrap.dedent(block["body"])
        path = template / place if place.startswith(("copier", "template")) else template / "template" / place
        if block["part"] == "known":
            insert(path, "{% set known = [", f"{body.strip()} ")
        elif place.startswith("copier/"):
            path.write_text(f"{path.read_text(encoding='utf-8')}\n{body}", encoding="utf-8")
        elif place.endswith("features.py.jinja"):
            insert(path, "] %}\n", textwrap.indent(body, "    "), before=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, encoding="utf-8")
    return template


def insert(path: Path, anchor: str, text: str, before: bool = False) -> None:
    whole = path.read_text(encoding="utf-8")
    assert whole.count(anchor) == 1, f"{anchor!r} must stand once in {path.name}"
    path.write_text(whole.replace(anchor, text + anchor if before else anchor + text), encoding="utf-8")


def copied(template: Path, project: Path, *answers: str) -> None:
    command = ["copier", "copy", "--quiet", "--defaults", "--vcs-ref=HEAD", *answers, str(template), str(project)]
    subprocess.run(command, check=True)


@pytest.fixture(scope="module")
def project(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("recipe")
    template = commit(followed(shutil.copytree(folder, place / "template")))
    copied(template, place / "project", "-d", "opening_hours=true")
    yield install(place / "project", "3.11")


def test_the_registry_lists_it_once(project: Path) -> None:
    text = (project / "app" / "features.py").read_text(encoding="utf-8")
    assert "from app.opening_hours import OpeningHours\n" in text and text.count("    OpeningHours,\n") == 1


def test_without_the_answer_nothing_of_it_is_there(project: Path, tmp_path: Path) -> None:
    template = project.parent / "template"
    copied(template, tmp_path / "p")
    assert not (tmp_path / "p" / "app" / "opening_hours").exists()
    assert "opening_hours" not in (tmp_path / "p" / "app" / "features.py").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("command", "printed"),
    [
        ("ruff check .", ""),
        ("ruff format --check .", ""),
        pytest.param("mypy", "", marks=pytest.mark.matrix),
        ("agent doctor explain OPN001", "The opening hours are words."),
        ("agent setup plan --simulated", "name of the number"),
        ("agent opening-hours --help", "Print the opening hours."),
        ("python -m app opening-hours --help", "Print the opening hours."),
        ("pytest -q app/opening_hours", "passed"),
        ("agent scenario app/opening_hours/scenarios/asks-for-opening-hours.yml", "1 of 1"),
        ("pytest -v app/tests/test_turn.py -k scenario", "asks-for-opening-hours"),
    ],
)
def test_every_command_finds_it(project: Path, command: str, printed: str) -> None:
    assert printed in run_offline(project, command)
