"""A run that several machines share is the whole run, and each says what it has done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.questionnaire import ROOT
from tests.shards import share

TESTS = """
import pytest

@pytest.mark.xdist_group("a")
@pytest.mark.parametrize("number", range(3))
def test_grouped(number): ...

@pytest.mark.matrix
@pytest.mark.parametrize("number", range(9))
def test_nightly(number, note, figure):
    note("wall: none")
    figure("projects", 100)

@pytest.mark.every_shard
def test_shared(): ...
"""


def run(place: Path, *arguments: str, **environment: str) -> str:
    (place / "test_of_a_run.py").write_text(TESTS)
    plugins = ["-p", "tests.conftest", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "-m", ""]
    plugins.append(f"--basetemp={place / 'temporary'}")  # or else the folders of earlier runs are deleted first
    inherited = {name: value for name, value in os.environ.items() if name.partition("_")[0] not in ("SHARD", "PYTEST")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, *arguments, str(place / "test_of_a_run.py")],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        encoding="utf-8",
    )
    return done.stdout + done.stderr


def test_the_shards_share_every_test_and_keep_groups_together(tmp_path: Path) -> None:
    shards = [run(tmp_path, "--collect-only", "-q", SHARD=f"{number}/3") for number in (1, 2, 3)]
    found = [re.findall(r"::(test_\w+(?:\[\d\])?)", shard) for shard in shards]
    once = [name for names in found for name in names if name != "test_shared"]
    assert sorted(once) == sorted(
        {*(f"test_grouped[{n}]" for n in range(3)), *(f"test_nightly[{n}]" for n in range(9))}
    )
    assert sorted(sum("grouped" in name for name in names) for names in found) == [0, 0, 3]
    assert all("test_shared" in names and 3 <= sum("nightly" in name for name in names) <= 4 for names in found)


def test_a_shard_that_does_not_exist_is_one_line_with_the_fix(tmp_path: Path) -> None:
    for given in ("0/3", "4/3", "2", "a/b"):
        with pytest.raises(pytest.UsageError, match="as in SHARD=2/4"):
            share("abc", given)
    assert "ERROR: SHARD=4/3: write a shard" in run(tmp_path, "--collect-only", SHARD="4/3")


def test_the_figures_of_all_workers_stand_in_the_log_and_on_githubs_page(tmp_path: Path) -> None:
    page = tmp_path / "summary.md"
    log = run(tmp_path, "-n", "2", "--dist", "loadgroup", GITHUB_STEP_SUMMARY=str(page))
    said = page.read_text(encoding="utf-8").splitlines()
    assert said[:-1] == ["- 900 projects", "- wall: none"] and re.fullmatch(r"- \d+ seconds", said[-1])
    assert "\n900 projects\nwall: none\n" in log


def test_the_shards_of_each_workflow_are_complete() -> None:
    tests = []
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values():
            for command in re.findall(r"make matrix.*", str([step.get("run") for step in job.get("steps", [])])):
                shards = job["strategy"]["matrix"]["shard"]
                assert shards == list(range(1, len(shards) + 1)) and job["strategy"]["fail-fast"] is False
                assert f"SHARD=${{{{ matrix.shard }}}}/{len(shards)} " in command
                tests += [given.strip('"') for given in re.findall(r"""TESTS=("[^"]+"|[^\s']+)""", command)]
    apart = sorted(each for each in tests if not each.startswith("--"))
    assert apart == ["tests/test_combinations.py", "tests/test_mutants.py"]
    assert [each for each in tests if each not in apart] == [" ".join(f"--ignore={each}" for each in apart)]


def test_a_share_of_things() -> None:
    assert [share("abcde", f"{number}/2") for number in (1, 2)] == [["a", "c", "e"], ["b", "d"]]
    assert share("abcde", "") == list("abcde")
