"""A release reaches projects: of every earlier tag to the working tree, and of the working tree to a next release.

No project of a release is stored here, since the tags have them all: the tests clone this repository with its
history, and add two releases to the clone, `now` (the working tree) and `after` (a made-up next one). Before the first
tag only the step from `now` to `after` is there to try. A clone that lacks tags must not pass for that: it fails
`test_every_release_is_here`, by what CHANGELOG.md names.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import copier
import pytest
import yaml
from copier._template import load_template_config
from packaging.version import Version

from hooks import release
from tests.conftest import commit, files, git, recorded
from tests.offline import offline
from tests.questionnaire import ROOT, Answers
from tests.test_emitted import UV, install, run_offline
from tests.test_image import free_port
from tests.test_ladder import edit
from tests.test_updates import assert_clean, edited, machinery, own_zone


def known_tags() -> list[str]:
    try:
        return sorted(release.tags_of(ROOT), key=Version)
    except ValueError:
        return []  # test_every_release_is_here fails


TAGS = known_tags()
HIGHEST = Version(TAGS[-1] if TAGS else "0.0.0")
NOW, AFTER = f"v{HIGHEST.major}.{HIGHEST.minor + 1}.0", f"v{HIGHEST.major}.{HIGHEST.minor + 2}.0"
STEPS = [*((tag, NOW) for tag in TAGS), (NOW, AFTER)]
PROJECTS: dict[str, Answers] = {
    "phone": {},
    "everything": {"path": "manual", "level": "4", "channels": "omnichannel", "session_store": "redis"},
    "remembers": {"level": "2", "channels": "messaging", "memory_backend": "database"},
    "aws": {"path": "aws", "level": "3", "session_store": "dynamodb"},
    "azure": {"path": "azure", "azure_runtime": "foundry", "channels": "messaging", "level": "4"},
}
FEW = {"phone", "everything"}


def cases(few: set[str]) -> list[Any]:
    """Each kind of project for the newest two steps, and some for those of older tags. Only `few` are no matrix."""
    recent = STEPS[-2:]
    return [
        pytest.param(
            *step,
            kind,
            marks=() if kind in few and step in recent else pytest.mark.matrix,
            id=f"{step[0]}-{step[1]}-{kind}",
        )
        for step, kind in itertools.product(STEPS, PROJECTS)
        if kind in FEW or step in recent
    ]


OLD_NAME, NEW_NAME = "needs_orchestrator", "joins_conversations"
OLD_MODULE, NEW_MODULE = "twilio_http", "twilio_transport"
QUESTION = """
tone:
  type: str
  help: How does the agent sound?
  ask: false
  default: warm

has_tone:
  type: bool
  default: "{{ tone != 'none' }}"
  when: false
"""


def test_every_release_is_here() -> None:
    text = release.CHANGELOG.read_text(encoding="utf-8")
    assert [problem for problem in release.problems(text, release.tags_of(ROOT)) if "tag" in problem] == []


# --- The releases ---------------------------------------------------------------------------------


def replaced(template: Path, text: str, new: str) -> None:
    """Replace `text` in every file of a template, and in their names."""
    listed = git(template, "ls-files", "-z", "copier*", "includes", "template").split("\0")
    for path in [template / name for name in listed if name]:
        body = path.read_bytes()
        if text.encode() in body:
            path.write_bytes(body.replace(text.encode(), new.encode()))
        if text in path.name:
            path.rename(path.with_name(path.name.replace(text, new)))


def next_release(template: Path) -> None:
    """Change what releases change: packages, questions, computed values, files, lines of the user's zone."""
    for name in ["app/pyproject.toml.jinja", "kit/pyproject.toml", "pyproject.toml.jinja"]:
        path = template / "template" / name
        path.write_text(re.sub(r'>=([\d.]+)(,|")', r">=\1.0\2", path.read_text()))  # the same, in other characters
    with (template / "copier.yml").open("a") as questionnaire:
        questionnaire.write(f"\n---\n{QUESTION}")
    with (template / "template" / "app" / "config.py.jinja").open("a") as config:
        config.write("\nTONE = {{ tone | to_json }}\n")
    (template / "template" / "app" / "tone.py").write_text('"""Added by a release."""\n')
    for name in ["app/main.py", "agent/tools.py.jinja", "agent/prompt.md.jinja", "scenarios/call-barge-in.yml"]:
        with (template / "template" / name).open("a") as end:
            end.write("\n\n# New in this release\n")
    replaced(template, "{% set known = [", "{% set known = ['tone', ")
    replaced(template, OLD_NAME, NEW_NAME)
    replaced(template, OLD_MODULE, NEW_MODULE)


@pytest.fixture(scope="module")
def template(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This repository with its history, and the two releases on top of it."""
    clone = tmp_path_factory.mktemp("history") / "copier-twilio-agent"
    subprocess.run(["git", "clone", "-q", "--no-checkout", str(ROOT), str(clone)], check=True)
    git(clone, "reset", "-q")
    shutil.copytree(folder, clone, dirs_exist_ok=True)
    git(commit(clone), "tag", NOW)
    next_release(clone)
    git(commit(clone), "tag", AFTER)
    return clone


@dataclass
class Releases:
    """Copies and updates, without trust, between the releases of one template."""

    template: Path

    def copy(self, project: Path, tag: str, answers: Answers) -> Path:
        """A project of `tag`, with those of `answers` that this release knows."""
        known = load_template_config(self.checkout(tag) / "copier.yml")
        given = {name: value for name, value in answers.items() if name in known}
        how: Any = {"defaults": True, "unsafe": False, "quiet": True}
        copier.run_copy(str(self.template), project, given, vcs_ref=tag, **how)
        return commit(project)

    def checkout(self, tag: str) -> Path:
        place = self.template.parent / tag
        if not place.exists():
            subprocess.run(["git", "clone", "-q", "-b", tag, str(self.template), str(place)], check=True)
        return place

    def update(self, project: Path, tag: str, **answers: Any) -> None:
        copier.run_update(
            project, answers, vcs_ref=tag, defaults=True, overwrite=True, unsafe=False, quiet=True, skip_answered=True
        )
        written = yaml.safe_load((project / ".copier-answers.yml").read_text(encoding="utf-8"))
        assert written["_commit"] == tag


@pytest.fixture(scope="module")
def releases(template: Path, quick: pytest.MonkeyPatch) -> Releases:
    return Releases(template)


# --- What an update leaves ------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after", "kind"), cases(FEW))
def test_an_unedited_project_becomes_a_fresh_copy(
    before: str, after: str, kind: str, releases: Releases, tmp_path: Path
) -> None:
    """Outside the user's zone, which keeps the files of its own release."""
    project = releases.copy(tmp_path / "project", before, PROJECTS[kind])
    own = own_zone(files(project))
    releases.update(project, after)
    assert_clean(project)
    now = files(project)
    fresh = releases.copy(tmp_path / "fresh", after, recorded(project))
    wanted = machinery(files(fresh))
    assert recorded(project).items() >= recorded(fresh).items()
    for listed in (now, wanted):
        del listed[".copier-answers.yml"]
    assert machinery(now) == wanted
    assert {name: now[name] for name in own} == own


def first_week(project: Path) -> dict[str, bytes]:
    """Edits, and packages that sort before and after those of the template. Returns the files of the user alone."""
    mine = edited(project)
    for packages in [["aiofiles>=24,<26", "zstandard>=0.25,<1"], ["--dev", "anyio>=4,<5", "xmltodict>=1,<2"]]:
        subprocess.run([UV, "add", "--quiet", "--frozen", *packages], cwd=project, check=True)
    commit(project)
    return mine


@pytest.mark.parametrize(("before", "after", "kind"), cases(FEW))
def test_the_edits_of_a_first_week_survive_a_release(
    before: str, after: str, kind: str, releases: Releases, tmp_path: Path
) -> None:
    project = releases.copy(tmp_path / "project", before, PROJECTS[kind])
    mine = first_week(project)
    releases.update(project, after)
    assert_clean(project)
    now = files(project)
    assert {name: now[name] for name in mine} == mine
    added = tomllib.loads(now["pyproject.toml"].decode())
    assert {"aiofiles>=24,<26", "phonenumbers>=9,<10", "zstandard>=0.25,<1"} <= set(added["project"]["dependencies"])
    assert {"anyio>=4,<5", "hypothesis>=6,<7", "xmltodict>=1,<2"} <= set(added["dependency-groups"]["dev"])
    for name in [".env.example", ".gitignore"]:
        assert now[name].endswith(b"\n# Mine\nMINE=1\n")
    if after == AFTER:
        assert b">=2.0,<3" not in now["pyproject.toml"] and b'"hatchling>=1.27.0,<2"' in now["pyproject.toml"]
        assert now["app/config.py"].endswith(b'TONE = "warm"\n') and recorded(project)["tone"] == "warm"
        assert now["app/main.py"].endswith(b"# New in this release\n") and "app/tone.py" in now
        assert f"app/{OLD_MODULE}.py" not in now and f"app/{NEW_MODULE}.py" in now


@pytest.mark.parametrize("answers", [{"level": "2"}, {"path": "manual", "level": "4"}], ids=str)
def test_a_release_and_other_answers_come_in_one_update(answers: Answers, releases: Releases, tmp_path: Path) -> None:
    project = releases.copy(tmp_path / "project", NOW, {})
    mine = first_week(project)
    releases.update(project, AFTER, **answers)
    assert_clean(project)
    now = files(project)
    assert {name: now[name] for name in mine} == mine
    assert recorded(project).items() >= answers.items()
    fresh = files(releases.copy(tmp_path / "fresh", AFTER, answers))
    assert machinery(now).keys() - {"app/crm.py"} == machinery(fresh).keys()


def test_a_release_has_no_package_to_raise_where_uv_add_writes(releases: Releases, tmp_path: Path) -> None:
    """`uv add` sorts a package in among the others, so that a line that a release changes would be its neighbour."""
    project = releases.copy(tmp_path / "project", NOW, PROJECTS["everything"])
    pyproject = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    listed = [*pyproject["project"]["dependencies"], *sum(pyproject["dependency-groups"].values(), [])]
    members = pyproject["tool"]["uv"]["sources"]
    assert listed and {re.split(r"[^\w-]", name)[0] for name in listed} <= members.keys()


# --- What runs after it ---------------------------------------------------------------------------

ENVIRONMENT = """
from app import config
from app.registry import ProjectSettings

examples = {str(field.alias): field.examples[0] for field in ProjectSettings.model_fields.values() if field.examples}
shaped = {"ENDPOINT": "https://example.services.ai.azure.com/api/projects/example", "CREDENTIALS": "prod"}
keys = {name for names, _ in config.MODEL_KEYS.values() for name in names} - examples.keys()
values = {name: shaped.get(name.rpartition("_")[2], "example") for name in keys} | examples
print("\\n".join(f"{name}={value}" for name, value in values.items()))
"""


def serves(project: Path, log: Path) -> None:
    """Start the server, wait until it is healthy, and stop it."""
    port = free_port()
    command, environment = offline([UV, "run", "--no-sync", "python", "-m", "app", "serve"], log, guard_only=True)
    environment |= {"HOST": "127.0.0.1", "PORT": str(port)}
    said = project.parent / "served"
    with (
        said.open("wb") as output,
        subprocess.Popen(
            command, cwd=project, env=environment, stdout=output, stderr=output, start_new_session=True
        ) as server,
    ):
        try:
            deadline = time.monotonic() + 60
            while not healthy(port):
                assert server.poll() is None and time.monotonic() < deadline, said.read_text()
                time.sleep(0.2)
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(timeout=30)


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield


@pytest.mark.parametrize(("before", "after", "kind"), cases(set()))
def test_an_updated_project_starts_and_doctor_is_clean(
    before: str, after: str, kind: str, releases: Releases, no_proxy: None, tmp_path: Path
) -> None:
    project = releases.copy(tmp_path / "project", before, PROJECTS[kind])
    edit(project)
    releases.update(project, after)
    assert_clean(project)
    install(project, "3.11")
    values = subprocess.run(
        [UV, "run", "--no-sync", "python", "-c", ENVIRONMENT], cwd=project, check=True, capture_output=True, text=True
    ).stdout
    (project / ".env").write_text(values)
    run_offline(project, "agent doctor")
    for check in ["ruff check .", "ruff format --check .", "mypy", "pytest -q"]:
        run_offline(project, check)
    serves(project, tmp_path / "refused")
