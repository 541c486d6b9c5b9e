"""Every command of the template's README works."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import Note
from tests.questionnaire import ASKED, CUSTOM
from tests.readme import blocks, run


@pytest.fixture(scope="module")
def clone(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, without the environment in which these tests run."""
    clone = tmp_path_factory.mktemp("clone") / "copier-twilio-agent"
    shutil.copytree(repository, clone)
    return clone


@pytest.mark.xdist_group("clone")
@pytest.mark.parametrize(
    "name", ["README.md", *(pytest.param(name, marks=pytest.mark.matrix) for name in ("CONTRIBUTING.md", "AGENTS.md"))]
)
def test_every_command_of_a_page_works(name: str, clone: Path, note: Note) -> None:
    forever = [block.body for block in blocks(clone / name) if not block.reason and "make test" in block.body]
    assert not forever, "mark `make test` as not run: it runs this very test"
    skipped = run(clone / name, clone)
    if skipped:
        note(f"{name}: {len(skipped)} blocks not run: {'; '.join(skipped)}")


def test_the_page_lists_every_question(folder: Path) -> None:
    """In the table those that are asked, in order; in the paragraph below it those that are not."""
    text = (folder / "README.md").read_text()
    table, rest = text.partition("## The questions\n")[2].partition("\nSet with ")[::2]
    asked = [name for name, details in ASKED.items() if details.get("ask", True)]
    cells = [line.split("|")[1:3] for line in table.splitlines() if line.startswith("| `")]
    named = [name for first, _ in cells for name in re.findall(r"`(\w+)`", first)]
    named += [name for _, second in cells for name in re.findall(r"`(\w+)`", second) if name in CUSTOM]
    assert [name for name in named if name not in CUSTOM] == [name for name in asked if name not in CUSTOM]
    assert set(CUSTOM) <= set(named)
    assert {name for name in ASKED if name not in asked} <= set(re.findall(r"`(\w+)`", rest.partition("\n\n")[0]))
    assert "It asks at most twelve questions" in text  # as tests/test_prompts.py counts them


def test_the_demo_ends_with_what_to_do_next(folder: Path) -> None:
    recipe = (folder / "Makefile").read_text().partition("\ndemo:")[2].partition("\n\n")[0]
    last = recipe[recipe.index("@printf") :]
    assert "run agent call" in last and "make new DEST=" in last


def test_the_page_says_that_a_project_needs_uv(folder: Path) -> None:
    first = (folder / "README.md").read_text().partition("\n## ")[0]
    assert (
        "You need git, make and Python 3.11 or newer, and for a project of your own [uv](https://docs.astral.sh/uv/)"
        in first
    )


def test_every_marked_block_says_why(folder: Path) -> None:
    pages = [*(folder / "template" / "docs").iterdir(), *(folder / "docs").glob("*.md")]
    names = [path.relative_to(folder).as_posix() for path in pages]
    for name in ["README.md", "template/README.md.jinja", *names]:
        text = (folder / name).read_text()
        assert text.count("<!-- not run") == len([block for block in blocks(folder / name) if block.reason])


def test_every_link_between_pages_has_its_file(folder: Path) -> None:
    pages = [*folder.glob("*.md"), *(folder / "docs").rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text())]
    assert len(links) > 20
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_every_decision_is_listed(folder: Path) -> None:
    decisions = folder / "docs" / "decisions"
    listed = re.findall(r"\]\((\d{3}-[\w-]+\.md)\) \| (.+) \|", (decisions / "README.md").read_text())
    assert [name for name, _ in listed] == sorted(path.name for path in decisions.glob("[0-9]*.md"))
    for name, title in listed:
        lines = (decisions / name).read_text().splitlines()
        assert lines[0] == f"# {name[:3]} {title}" and re.fullmatch(r"\d{4}-\d\d-\d\d", lines[2])
