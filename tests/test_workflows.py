"""Workflows, of this repository and of a project: they parse, do what they say, and can do no more than that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import Render, commit, git
from tests.questionnaire import ROOT

OWN = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EMITTED = ROOT / "template" / ".github"
CI = EMITTED / "workflows" / "ci.yml"
ADDRESS = "https://templates.example/owner/copier-twilio-agent.git"


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    return loaded


def jobs(path: Path) -> dict[str, Any]:
    return dict(load(path)["jobs"])


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job.get("steps", [])]


@pytest.mark.parametrize("path", [*OWN, CI], ids=lambda path: path.stem)
def test_only_the_job_that_needs_it_can_write(path: Path) -> None:
    assert load(path)["permissions"] == {"contents": "read"}
    writing = {("release", "tag"): {"contents": "write"}, ("ci", "template"): {"contents": "read", "issues": "write"}}
    for name, job in jobs(path).items():
        assert "uses" in job or job["timeout-minutes"]
        assert job.get("permissions") == (writing.get((path.stem, name)) if path in (CI, *OWN) else None)


def test_the_jobs_that_can_write_hold_no_code_of_others() -> None:
    """Their token reaches GitHub's own actions and commands, and scripts of the repository."""
    for path, name in [(ROOT / ".github/workflows/release.yml", "tag"), (CI, "template")]:
        job = jobs(path)[name]
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert [action.partition("@")[0] for action in used] == ["actions/checkout"]
        assert job["steps"][0]["with"]["persist-credentials"] == "false"
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "an expression in a script is code"
            if "GH_TOKEN" in step.get("env", {}):
                assert not re.search(r"\b(pipx|uvx?|pip|copier|make)\b", step["run"].partition("--body")[0])


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_every_command_is_one_of_the_makefile_or_of_hooks(path: Path) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    script = "\n".join(step["run"] for step in steps(path) if "run" in step)
    assert set(re.findall(r"\bmake ([a-z]+)", script)) <= set(targets)
    for module in re.findall(r"python3 -m (\S+)", script):
        assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_the_tests_have_every_tag(path: Path) -> None:
    """Without the history, `tests/test_releases.py` has no project of an earlier release."""
    for job in jobs(path).values():
        for step in job.get("steps", []):
            runs = [each.get("run", "") for each in job["steps"]]
            if any(re.search(r"make (test|matrix)|hooks.release next", run) for run in runs) and "uses" in step:
                assert step["uses"].partition("@")[0] != "actions/checkout" or step["with"]["fetch-depth"] == "0"


def test_every_action_is_a_commit_with_its_version_beside_it() -> None:
    """A tag can be moved to other code. Dependabot raises both parts, here and in new projects alike."""
    commits: dict[str, set[str]] = {}
    for path in [*OWN, CI]:
        used = [step["uses"] for step in steps(path) if "uses" in step]
        pinned = re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)$", path.read_text("utf-8"), re.M)
        assert len(pinned) == len(used), f"{path}: {used}"
        for action, commit_and_version in pinned:
            commits.setdefault(action, set()).add(commit_and_version)
    assert not {action: found for action, found in commits.items() if len(found) > 1}, "one version of each action"


def test_a_project_is_tested_by_the_commands_of_its_pages() -> None:
    script = [step["run"] for step in jobs(CI)["test"]["steps"] if "run" in step]
    assert script == [
        "[ ! -f uv.lock ] || export UV_LOCKED=1; uv sync --all-groups",
        "uv run ruff check . && uv run ruff format --check . && uv run mypy",
        "uv run pytest",
        "uv run agent selftest",
        "docker build --tag agent .",
    ]
    assert "uv run ruff check . && uv run ruff format --check . && uv run mypy" in (
        ROOT / "template" / "AGENTS.md.jinja"
    ).read_text(encoding="utf-8")


def test_dependabot_raises_the_actions_of_both() -> None:
    """One group: an action of new projects is raised with the one of this repository."""
    path = ROOT / ".github" / "dependabot.yml"
    check = ["check-jsonschema", "--builtin-schema", "vendor.dependabot", str(path)]
    assert subprocess.run(check, capture_output=True).returncode == 0
    (update,) = load(path)["updates"]
    assert update["package-ecosystem"] == "github-actions" and update["groups"]
    assert update["directories"] == ["/", f"/{CI.parent.relative_to(ROOT).as_posix()}"]


def test_dependabot_raises_no_range_of_the_template() -> None:
    path = EMITTED / "dependabot.yml"
    check = ["check-jsonschema", "--builtin-schema", "vendor.dependabot", str(path)]
    done = subprocess.run(check, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    updates = {update["package-ecosystem"]: update for update in load(path)["updates"]}
    assert updates["uv"]["versioning-strategy"] == "lockfile-only"
    for update in updates.values():
        assert update["schedule"] == {"interval": "weekly"} and update["groups"]
    assert updates.keys() == {"uv", "github-actions"}


# --- The weekly look at the template --------------------------------------------------------------

GH = """
import os, sys
command, titles = sys.argv[1:3], os.environ["TITLES"]
assert os.environ["GH_TOKEN"] == "a-token"
if command == ["issue", "list"]:
    assert sys.argv[sys.argv.index("--state") + 1] == "all"
    print(open(titles).read(), end="")
else:
    assert command == ["issue", "create"] and sys.argv[sys.argv.index("--body") + 1]
    print(sys.argv[sys.argv.index("--title") + 1], file=open(titles, "a"))
"""
PIPX = """
import os, sys
assert "GH_TOKEN" not in os.environ
assert sys.argv[1:5] == ["run", "--spec", "copier>=9.19.1,<10", "copier"]
os.execvp("copier", sys.argv[4:])
"""


class Week:
    """Runs the weekly job of a project as GitHub does, with a `gh` that keeps the titles of issues in a file."""

    def __init__(self, project: Path, place: Path) -> None:
        self.project = project
        self.titles = place / "titles"
        self.titles.touch()
        self.commands = place / "commands"
        self.commands.mkdir()
        for name, script in {"gh": GH, "pipx": PIPX}.items():
            (self.commands / name).write_text(f"#!{sys.executable}\n{script}")
            (self.commands / name).chmod(0o755)

    def passes(self) -> list[str]:
        """The titles of all issues after one more week."""
        environment = os.environ | {"PATH": f"{self.commands}{os.pathsep}{os.environ['PATH']}"}
        environment |= {"TITLES": str(self.titles)}
        scripts = [step for step in jobs(CI)["template"]["steps"] if "run" in step]
        for step in scripts:
            given = {name: "a-token" for name, value in step.get("env", {}).items() if value == "${{ github.token }}"}
            script = self.commands / "step.sh"
            script.write_text(step["run"])
            done = subprocess.run(
                ["bash", "-e", str(script)],
                cwd=self.project,
                env=environment | given,
                capture_output=True,
                encoding="utf-8",
            )
            assert done.returncode == 0, done.stderr
        (self.project / "check.json").unlink()
        return self.titles.read_text().splitlines()


@pytest.fixture
def template(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The released template, at an address of the internet that git finds on this machine."""
    clone = tmp_path / "template"
    subprocess.run(["git", "clone", "-q", str(repository), str(clone)], check=True)
    own = tmp_path / "gitconfig"
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(own))
    own.write_text(
        "[user]\nname = Ada\nemail = ada@example.com\n"
        f'[url "{clone}"]\ninsteadOf = {ADDRESS}\n[protocol "file"]\nallow = always\n'
    )
    return clone


def published(template: Path, tag: str) -> None:
    (template / "template" / f"{tag}.md").write_text("New\n")
    commit(template)
    git(template, "tag", tag)


@pytest.mark.parametrize(
    "answers_file", [".copier-answers.yml", pytest.param(".kit/answers.yml", marks=pytest.mark.matrix)]
)
def test_a_newer_release_opens_one_issue(answers_file: str, template: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    quietly = ["--quiet", "--defaults", "-a", answers_file]
    subprocess.run(["copier", "copy", *quietly, ADDRESS, str(project)], check=True)
    week = Week(commit(project), tmp_path)
    assert week.passes() == []
    published(template, "v0.2.0")
    assert week.passes() == ["Release 0.2.0 of the template"]
    assert week.passes() == ["Release 0.2.0 of the template"]
    published(template, "v0.10.0")
    assert week.passes() == ["Release 0.2.0 of the template", "Release 0.10.0 of the template"]
    subprocess.run(["copier", "update", *quietly], cwd=project, check=True)
    week.titles.write_text("")
    assert week.passes() == []


def test_a_template_in_a_folder_of_one_machine_is_not_looked_for(create: Render, tmp_path: Path) -> None:
    week = Week(create(tmp_path / "project"), tmp_path)
    (week.commands / "pipx").write_text("#!/bin/sh\nexit 1\n")
    assert week.passes() == []
