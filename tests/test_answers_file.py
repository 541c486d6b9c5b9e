"""A project may keep its answers in a file of another name: copier copy -a .kit.yml."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import commit, files, git
from tests.offline import offline
from tests.test_emitted import UV, install, run_offline, workbench_tests

STANDARD = b".copier-answers.yml"


def copier(where: Path, *command: str) -> None:
    subprocess.run(["copier", *command, "--quiet", "--defaults"], cwd=where, check=True)


@pytest.fixture(params=[".kit/answers.yml", pytest.param(".kit.yml", marks=pytest.mark.matrix)])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def project(name: str, repository: Path, tmp_path: Path) -> Path:
    copier(tmp_path, "copy", "-a", name, str(repository), "project")
    return commit(tmp_path / "project")


def test_every_file_names_it_and_an_update_writes_it(project: Path, name: str) -> None:
    named = [path for path, body in files(project).items() if STANDARD in body and not path.startswith("kit/")]
    assert named == []  # kit/ is the same in every project
    assert (project / name).is_file() and not (project / STANDARD.decode()).exists()
    assert f"copier update -a {name} " in (project / "docs" / "develop.md").read_text(encoding="utf-8")
    copier(project, "update", "-a", name, "--vcs-ref=:current:", "-d", "fallback_provider=anthropic")
    assert yaml.safe_load((project / name).read_text(encoding="utf-8"))["fallback_provider"] == "anthropic"
    assert "app/config.py" in git(project, "diff", "--name-only").split()
    assert not (project / STANDARD.decode()).exists()


@pytest.mark.matrix
@pytest.mark.parametrize("name", [".kit/answers.yml"])
def test_doctor_finds_nothing_wrong_with_the_project(project: Path, name: str) -> None:
    install(project, "3.11")
    report = diagnose(project)
    assert {"PRJ001", "PRJ005", "PRJ010"} <= set(report["checked"])
    assert [finding for finding in report["findings"] if finding["code"].startswith("PRJ")] == []
    (project / "deploy").touch()
    commit(project)
    (finding,) = diagnose(project, "--before", "path=aws")["findings"]
    assert finding["message"].startswith("deploy is a file: an update that brings the template's folder deploy/ ")
    workbench_tests(project)
    run_offline(project, "pytest -q tests/kit/test_doctor.py -k 'PRJ or update'")


def diagnose(project: Path, *options: str) -> Any:
    command = [UV, "run", "--no-sync", "agent", "doctor", "--json", *options]
    doctor, environment = offline(command, project.parent / "refused")
    done = subprocess.run(doctor, cwd=project, env=environment, capture_output=True, encoding="utf-8")
    return json.loads(done.stdout)
