"""Edits of a team and updates rarely meet; packages that it adds with uv never meet those of a release."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import conflicts
from benchmarks.edits import lines, uv_add, write
from tests.conftest import Render, commit, git, mostly_at_night
from tests.questionnaire import changes

LISTS = {"dependencies": [], "dev": ["--dev"]}
SHARED = [".env.example", "AGENTS.md", "Dockerfile", "pyproject.toml"]
BOUND = re.compile(r"(>=\d+)")


def places(entries: list[str]) -> Iterator[str]:
    """Packages that uv puts before the first entry, between each two, and after the last."""
    yield "aaa"
    yield from (f"{entry.partition('>')[0].partition('[')[0]}-more" for entry in entries)
    yield "zzz"


def entries(pyproject: Path, list_name: str) -> list[str]:
    text = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    values: dict[str, list[str]] = text["project"] | text["dependency-groups"]
    return values[list_name]


def uv_adds(project: Path, list_name: str, package: str) -> None:
    command = ["uv", "add", "--quiet", "--frozen", "--offline", *LISTS[list_name], f"{package}>=3"]
    subprocess.run(command, cwd=project, check=True)


@pytest.fixture(scope="module")
def next_release(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template with a release that raises the lower bound of every package."""
    template = shutil.copytree(repository, tmp_path_factory.mktemp("next") / "template")
    for pyproject in template.glob("template/**/pyproject.toml*"):
        text = pyproject.read_text(encoding="utf-8")
        pyproject.write_text(BOUND.sub(r"\1.999", text), encoding="utf-8")
    commit(template)
    git(template, "tag", "v0.2.0")
    return template


@pytest.mark.parametrize("list_name", mostly_at_night([(name,) for name in LISTS], 2))
def test_a_package_added_with_uv_never_meets_a_release_that_bumps_packages(
    list_name: str, create: Render, next_release: Path, tmp_path: Path
) -> None:
    fresh = create(tmp_path / "fresh")
    for package in places(entries(fresh / "pyproject.toml", list_name)):
        project = shutil.copytree(fresh, tmp_path / package)
        uv_adds(project, list_name, package)
        answers = project / ".copier-answers.yml"
        answers.write_text(re.sub("(?m)^_src_path: .*$", f"_src_path: {next_release}", answers.read_text()))
        commit(project)
        assert conflicts.update(project, {}, release=True) == []
        assert f"{package}>=3" in entries(project / "pyproject.toml", list_name)
        assert ".999" in (project / "app" / "pyproject.toml").read_text()
        assert ".999" in (project / "kit" / "pyproject.toml").read_text()


@pytest.mark.parametrize("list_name", LISTS)
def test_the_benchmark_adds_a_package_as_uv_does(list_name: str, create: Render, tmp_path: Path) -> None:
    fresh = create(tmp_path / "fresh")
    for package in places(entries(fresh / "pyproject.toml", list_name)):
        project = tmp_path / package
        for member in ["pyproject.toml", "app/pyproject.toml", "kit/pyproject.toml"]:
            write(project / member, lines(fresh / member))
        expected = uv_add(lines(project / "pyproject.toml"), list_name, f"{package}>=3")
        uv_adds(project, list_name, package)
        assert lines(project / "pyproject.toml") == expected


def test_a_new_paragraph_in_a_shared_file_never_meets_a_switch(render: Render, tmp_path: Path) -> None:
    """Between two paragraphs, and at the end."""
    before = render(tmp_path / "project")
    for number, change in enumerate(changes()):
        after = render(tmp_path / str(number), **change)
        for old, new in [(before / name, after / name) for name in SHARED]:
            text = lines(old)
            ends = [number for number, line in enumerate(text, 1) if not line] + [len(text)]
            for at in ends if lines(new) != text else []:
                write(tmp_path / "mine", [*text[:at], "# Mine", "MINE=1", "", *text[at:]])
                merged = subprocess.run(["git", "merge-file", "-p", tmp_path / "mine", old, new], capture_output=True)
                assert merged.returncode == 0, f"{change}\n{merged.stdout.decode()}"


def test_few_updates_conflict() -> None:
    """A sample; `make matrix` runs the whole benchmark."""
    assert conflicts.main(trials=8, seed=conflicts.SEED, show=True) == 0
