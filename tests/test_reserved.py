"""Names that other answers bring: a project knows them, and an update meets a file there as `agent doctor` says."""

from __future__ import annotations

import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from tests.conftest import Render, commit, files, git, mostly_at_night
from tests.questionnaire import Answers, asked
from tests.renderer import ALL_FILES, expected_files
from tests.test_emitted import ROWS


@pytest.mark.parametrize("answers", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_a_project_knows_every_name_that_it_has_not(answers: Answers, render: Render, tmp_path: Path) -> None:
    project = render(tmp_path / "project", **asked(answers))
    listed = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))["reserved"]
    reserved = [name.strip("/") for name in listed if "*" not in name]
    here, elsewhere = files(project).keys(), set(ALL_FILES) - files(project).keys()
    assert here == expected_files(answers)
    assert [name for name in here for each in reserved if f"{name}/".startswith(f"{each}/")] == []
    assert [each for each in reserved if not any(f"{name}/".startswith(f"{each}/") for name in ALL_FILES)] == []
    missed = {name for name in elsewhere if not any(f"{name}/".startswith(f"{each}/") for each in reserved)}
    in_folders = [name for name in missed if fnmatch(name, "app/*/*_calls.py") or fnmatch(name, "app/*/scenarios/*")]
    assert missed - set(in_folders) - {name for name in missed if name.startswith(("scenarios/", "tests/"))} == set()
    assert all(Path(name).suffix == "" for name in reserved if any(file.startswith(f"{name}/") for file in ALL_FILES))


def test_the_pages_say_which_names_to_keep_free(render: Render, tmp_path: Path) -> None:
    """At the root of a project and in `agent/`; all of `app/` and `docs/` is the template's."""
    project = render(tmp_path / "project")
    page = (project / "docs" / "develop.md").read_text(encoding="utf-8")
    brought = [Path(name).parts for name in set(ALL_FILES) - files(project).keys()]
    names = {Path(parts[1]).stem if parts[0] == "agent" else parts[0] for parts in brought}
    assert names >= {"deploy", "handoff"}
    assert [name for name in names - {"app", "docs", "scenarios", "tests"} if f"`{name}`" not in page] == []


MEMORY = {"level": "2"}
AWS = {"path": "aws"}


@pytest.mark.parametrize(
    ("mine", "change"),
    mostly_at_night([("deploy", AWS), ("agent/handoff.py", {"level": "4"}), ("app/memory.py", MEMORY)], 3),
)
def test_a_file_in_the_way_meets_an_update(mine: str, change: Answers, create: Render, tmp_path: Path) -> None:
    project = create(tmp_path / "project")
    (project / mine).write_text("mine = True\n", encoding="utf-8")
    commit(project)
    given = [part for name, value in change.items() for part in ("-d", f"{name}={value}")]
    command = ["copier", "update", "--quiet", "--vcs-ref=:current:", "--defaults", *given]
    done = subprocess.run(command, cwd=project, capture_output=True, encoding="utf-8")
    assert ("FileExistsError" in done.stderr) == (done.returncode != 0) == (mine == "deploy")
    assert not git(project, "diff", "--name-only", "--diff-filter=U")
    assert (project / mine).read_text(encoding="utf-8") == "mine = True\n"
    assert (project / "app" / "memory" / "__init__.py").exists() == (mine != "deploy")
