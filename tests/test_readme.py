"""Every command of the template's README works."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import Note
from tests.readme import blocks, run


@pytest.fixture(scope="module")
def clone(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, without the environment in which these tests run."""
    clone = tmp_path_factory.mktemp("clone") / "copier-twilio-agent"
    shutil.copytree(repository, clone)
    return clone


@pytest.mark.xdist_group("clone")
@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "AGENTS.md"])
def test_every_command_of_a_page_works(name: str, clone: Path, note: Note) -> None:
    forever = [block.body for block in blocks(clone / name) if not block.reason and "make test" in block.body]
    assert not forever, "mark `make test` as not run: it runs this very test"
    skipped = run(clone / name, clone)
    if skipped:
        note(f"{name}: {len(skipped)} blocks not run: {'; '.join(skipped)}")


def test_every_marked_block_says_why(folder: Path) -> None:
    pages = [path.relative_to(folder).as_posix() for path in (folder / "template" / "docs").iterdir()]
    for name in ["README.md", "template/README.md.jinja", *pages]:
        text = (folder / name).read_text()
        assert text.count("<!-- not run") == len([block for block in blocks(folder / name) if block.reason])
