"""The user's zone: a file is written once, by the copy or update that brings it, and is the user's from then on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Command, Render, Update, commit, files, git
from tests.questionnaire import CONFIG, DEFAULTS, Answers, choices
from tests.renderer import ZONE, Computed
from tests.test_updates import assert_clean, machinery

ALWAYS = ["README.md", "agent/__init__.py", "agent/prompt.md", "agent/tools.py", "tests/test_agent.py"]
SWITCHED = ["agent/handoff.py", "agent/routing.yml"]
ON, OFF = {"level": "4"}, {"level": "1"}
NEW_ROW = "'agent/extra.md': [true, {}],"


def edit(project: Path, *names: str) -> dict[str, bytes]:
    """A line of the user's at the top of each file. Returns their texts."""
    for name in names:
        (project / name).write_text(f"# Mine\n{(project / name).read_text()}")
    commit(project)
    return {name: (project / name).read_bytes() for name in names}


def delete(project: Path, *names: str, repository: Path | None = None) -> None:
    for name in names:
        (project / name).unlink()
    commit(repository or project)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} must stand once in {path.name}"
    path.write_text(text.replace(old, new))


def present(project: Path, *names: str) -> list[str]:
    return [name for name in names if (project / name).exists()]


def same(project: Path, texts: dict[str, bytes]) -> bool:
    return {name: (project / name).read_bytes() for name in texts} == texts


def test_the_list_of_switches_is_that_of_the_zone() -> None:
    """`_exclude` has to name the files that an answer brings: an update reads it with older answers."""
    rows = [Computed(DEFAULTS | answers)["zone"].keys() for answers in ({}, {"channels": "messaging"})]
    most = {"level": "4", "channels": "omnichannel", "regulations": ["hipaa"]}
    most |= {"operators": ["custom", "script_adherence"]}
    full = {name for each in choices("outcome") for name in Computed(DEFAULTS | most | {"outcome": each})["zone"]}
    listed = {name for name in full if f"'{name}'" in CONFIG["_exclude"][-1]}
    assert listed == full - (rows[0] & rows[1])


@pytest.fixture
def project(create: Render, tmp_path: Path) -> Path:
    return create(tmp_path / "project")


def test_what_the_user_deleted_stays_deleted(project: Path, update: Update) -> None:
    gone = ["agent/prompt.md", "scenarios/call-tool.yml", "tests/test_agent.py", "README.md"]
    delete(project, *gone)
    for change in (ON, {"channels": "voice_and_messaging"}, {"path": "manual"}, OFF):
        update(project, **change)
        assert_clean(project)
        assert present(project, *gone) == []
        commit(project)


def test_the_file_of_a_switch_arrives_once(project: Path, update: Update) -> None:
    update(project, **ON)
    assert present(project, *SWITCHED) == SWITCHED
    commit(project)
    mine = edit(project, "agent/routing.yml")
    delete(project, "agent/handoff.py")
    update(project, path="manual")
    assert_clean(project)
    assert present(project, "agent/handoff.py") == [] and same(project, mine)


def test_a_switch_that_is_off_takes_its_files_where_git_shows_it(project: Path, update: Update) -> None:
    update(project, **ON)
    mine = edit(commit(project), "agent/handoff.py")
    update(project, **OFF)
    assert present(project, *SWITCHED) == []
    assert " D agent/handoff.py" in git(project, "status", "--porcelain").splitlines()
    git(project, "restore", "agent/handoff.py")
    assert same(project, mine)
    delete(project, "agent/handoff.py")
    update(project, **ON)
    assert present(project, *SWITCHED) == SWITCHED


def test_a_file_of_the_users_at_that_place_stays(project: Path, update: Update) -> None:
    (project / "agent" / "handoff.py").write_text("MINE = 1\n")
    mine = {"agent/handoff.py": (commit(project) / "agent" / "handoff.py").read_bytes()}
    update(project, **ON)
    assert_clean(project)
    assert same(project, mine)


def test_an_update_says_which_files_came_and_which_are_out_of_step(project: Path, command: Command) -> None:
    commands = Commands(command, project.parent)
    change = ["-d", "level=4", "-d", "outcome=outbound", "-d", "languages=[es-MX]"]
    said = commands.update(project, *change)
    assert "agent/handoff.py is new unless you had it, and yours from now on" in said
    assert "agent/prompt.md is yours and stays as it is: it was written for outcome=customer_service." in said
    assert "agent/phrases.py is yours and stays as it is: it was written for languages=en-US." in said
    assert "tests/test_agent.py" not in said
    commit(project)
    said = commands.update(project, "-d", "languages=[fr-FR]", "-d", "level=4")
    assert "agent/handoff.py is yours and stays as it is: it was written for languages=es-MX." in said
    assert "outcome" not in said and "is new" not in said
    commit(project)
    said = commands.update(project, "-d", "routing=skills")
    assert 'ROUTING = "skills"' in (project / "app" / "config.py").read_text() and "stays as it is" not in said
    commit(project)
    said = commands.update(project, "-d", "level=1")
    assert "`git restore agent/handoff.py` brings yours back" in said


# --- Copier's own commands, over releases ---


class Commands:
    """Runs Copier's commands in projects below `place`."""

    def __init__(self, run: Command, place: Path, template: Path | None = None) -> None:
        self.run = run
        self.place = place
        self.template = template
        self.number = 0
        self.warnings = ""

    def copier(self, *arguments: object, cwd: Path) -> str:
        said = self.run(*arguments, cwd=cwd)
        self.warnings += said
        return said

    def new(self, answers: Answers | None = None, *options: object, release: int = 1) -> Path:
        self.number += 1
        project = self.place / f"project-{self.number}"
        given = [f"-d{name}={value}" for name, value in (answers or {}).items()]
        where = [f"--vcs-ref=v{release}.0.0", *given, *options, self.template, project]
        self.copier("copy", "--defaults", *where, cwd=self.place)
        return commit(project)

    def update(self, project: Path, *options: object, release: int | None = None, change: Answers | None = None) -> str:
        version = f"v{release}.0.0" if release else ":current:"
        given = [f"-d{name}={value}" for name, value in (change or {}).items()]
        return self.copier("update", "--defaults", f"--vcs-ref={version}", *given, *options, cwd=project)


@pytest.fixture(scope="module")
def releases(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as v1.0.0; v2.0.0 changes every file of the zone and app/main.py, and adds agent/extra.md."""
    source = tmp_path_factory.mktemp("releases") / "template"
    shutil.copytree(folder, source)
    git(commit(source), "tag", "v1.0.0")
    for path in (source / "template").rglob("*"):
        if path.is_file() and path.relative_to(source / "template").as_posix().startswith(ZONE):
            text = path.read_text()
            path.write_text(f"{text}\n# release 2\n" if path.suffix == ".jinja" else f"# release 2\n{text}")
    (source / "template" / "agent" / "extra.md").write_text("Release 2.\n")
    replace(source / "includes" / "zone.jinja", "'README.md': [true, {}],", f"'README.md': [true, {{}}],\n  {NEW_ROW}")
    with (source / "template" / "app" / "main.py").open("a") as end:
        end.write("\n# release 2\n")
    git(commit(source), "tag", "v2.0.0")
    return source


@pytest.fixture
def commands(releases: Path, command: Command, tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(command, tmp_path, releases)
    yield commands
    assert "arning" not in commands.warnings


def test_a_release_leaves_the_zone_alone_and_brings_new_files_once(commands: Commands) -> None:
    project = commands.new()
    mine = edit(project, *ALWAYS)
    delete(project, "scenarios/call-tool.yml")
    commands.update(project, release=2)
    assert_clean(project)
    assert same(project, mine) and present(project, "agent/extra.md", "scenarios/call-tool.yml") == ["agent/extra.md"]
    assert b"release 2" not in (project / "agent" / "phrases.py").read_bytes()
    assert (project / "app" / "main.py").read_text().endswith("# release 2\n")
    commit(project)
    delete(project, "agent/extra.md")
    commands.update(project, change=ON)
    assert_clean(project)
    assert present(project, "agent/extra.md", *SWITCHED) == SWITCHED


@pytest.mark.matrix
@pytest.mark.parametrize("options", [[], ["--conflict=rej"]], ids=["inline", "rej"])
def test_a_release_and_a_switch_at_once(options: list[str], commands: Commands) -> None:
    project = commands.new(ON)
    mine = edit(project, *ALWAYS, *SWITCHED)
    commands.update(project, *options, release=2, change={"path": "manual"})
    assert_clean(project)
    assert same(project, mine)


@pytest.mark.matrix
def test_a_release_outside_the_zone_equals_a_fresh_copy(commands: Commands) -> None:
    project = commands.new(ON)
    commands.update(project, release=2)
    fresh = commands.new(ON, release=2)
    assert machinery(files(project)) | {".copier-answers.yml": b""} == machinery(files(fresh)) | {
        ".copier-answers.yml": b""
    }


@pytest.mark.matrix
def test_a_moved_file_stays_where_the_user_put_it(commands: Commands) -> None:
    project = commands.new(ON)
    (project / "lib").mkdir()
    git(project, "mv", "agent/handoff.py", "lib/handoff.py")
    commit(project)
    commands.update(project, release=2)
    commit(project)
    commands.update(project, change=OFF)
    assert_clean(project)
    assert present(project, "agent/handoff.py", "lib/handoff.py") == ["lib/handoff.py"]


@pytest.mark.matrix
def test_files_of_the_users_beside_a_switch_stay(commands: Commands) -> None:
    project = commands.new(ON)
    (project / "agent" / "mine.py").write_text("MINE = 1\n")
    commit(project)
    commands.update(project, change=OFF)
    assert present(project, "agent/mine.py")


@pytest.mark.matrix
@pytest.mark.parametrize("name", [".kit.yml", ".kit/answers.yml"])
def test_another_answers_file(name: str, commands: Commands) -> None:
    project = commands.new(None, "-a", name)
    delete(project, "agent/prompt.md")
    mine = edit(project, "agent/tools.py")
    commands.update(project, "-a", name, change=ON)
    assert present(project, *SWITCHED) == SWITCHED
    commit(project)
    delete(project, "agent/handoff.py")
    commands.update(project, "-a", name, release=2)
    assert_clean(project)
    assert same(project, mine)
    assert present(project, "agent/handoff.py", "agent/prompt.md", ".copier-answers.yml") == []


@pytest.mark.matrix
def test_the_answers_file_of_another_project_is_a_data_file(commands: Commands) -> None:
    """A fresh copy with it is complete: what the other project had was delivered there, not here."""
    first = commands.new(ON)
    second = commands.new(None, "--data-file", first / ".copier-answers.yml")
    assert files(first) == files(second)


@pytest.mark.matrix
def test_an_update_with_its_own_answers_file_as_data_file(commands: Commands) -> None:
    project = commands.new(ON)
    delete(project, "agent/handoff.py", "agent/prompt.md")
    mine = edit(project, "agent/tools.py")
    data = project.parent / "data.yml"
    data.write_text((project / ".copier-answers.yml").read_text().replace("channels: voice", "channels: omnichannel"))
    commands.update(project, "--data-file", data)
    assert_clean(project)
    assert same(project, mine)
    assert present(project, "agent/handoff.py", "agent/prompt.md", "agent/texts.py") == ["agent/texts.py"]


@pytest.mark.matrix
@pytest.mark.parametrize("verb", ["recopy", "copy"])
def test_a_copy_over_a_project_restores_what_is_not_the_users(verb: str, commands: Commands) -> None:
    project = commands.new(ON)
    mine = edit(project, "agent/tools.py")
    edit(project, "app/main.py")
    delete(project, "agent/prompt.md", "agent/handoff.py")
    where = [] if verb == "recopy" else [commands.template, "."]
    commands.copier(verb, "--defaults", "--overwrite", "--vcs-ref=v1.0.0", *where, cwd=project)
    assert same(project, mine)
    assert present(project, "agent/prompt.md", "agent/handoff.py") == []
    assert not (project / "app" / "main.py").read_text().startswith("# Mine")


@pytest.mark.matrix
def test_a_project_in_a_folder_of_a_larger_repository(commands: Commands) -> None:
    whole = commands.place / "whole"
    whole.mkdir()
    git(whole, "init", "-q")
    project = whole / "my_copy.service"
    commands.copier("copy", "--defaults", "--vcs-ref=v1.0.0", commands.template, project, cwd=whole)
    commit(whole)
    delete(project, "agent/prompt.md", repository=whole)
    commands.update(project, change=ON)
    assert present(project, *SWITCHED, "agent/prompt.md") == SWITCHED
    commit(whole)
    delete(project, "agent/handoff.py", repository=whole)
    commands.update(project, release=2)
    assert present(project, "agent/handoff.py", "agent/prompt.md") == []
    assert_clean(whole)
    commit(whole)
    commands.update(project, change=OFF)
    assert present(project, *SWITCHED) == []


@pytest.mark.matrix
def test_only_new_questions_are_asked(commands: Commands) -> None:
    project = commands.new()
    delete(project, "agent/prompt.md")
    commands.update(project, "--skip-answered", release=2)
    assert present(project, "agent/extra.md", "agent/prompt.md") == ["agent/extra.md"]


@pytest.mark.matrix
def test_a_file_outside_the_zone_keeps_the_three_way_merge(commands: Commands) -> None:
    project = commands.new()
    edit(project, "app/main.py")
    delete(project, "Dockerfile")
    commands.update(project, release=2)
    assert_clean(project)
    text = (project / "app" / "main.py").read_text()
    assert text.startswith("# Mine\n") and text.endswith("# release 2\n")
    assert present(project, "Dockerfile") == []


@pytest.mark.matrix
def test_a_renamed_file_is_an_answer(commands: Commands, releases: Path, tmp_path: Path) -> None:
    """How a release renames a file of the zone: its name is recorded, and old projects keep it."""
    source = tmp_path / "template"
    shutil.copytree(releases, source)
    git(source, "mv", "template/agent/texts.py.jinja", "template/agent/{{ texts_name }}.py.jinja")
    replace(source / "includes" / "zone.jinja", "'agent/texts.py':", "'agent/' ~ texts_name ~ '.py':")
    question = (
        "\ntexts_name:\n  type: str\n  ask: false\n"
        "  default: \"{{ 'texts' if 'agent/texts.py' in zone_delivered | default([]) else 'wording' }}\"\n"
    )
    replace(source / "copier" / "files.yml", "\nzone:\n", f"{question}\nzone:\n")
    replace(source / "copier.yml", "'agent/texts.py', ", "'agent/texts.py', 'agent/wording.py', ")
    replace(source / "copier" / "qualify.yml", "{% set known = [", "{% set known = ['texts_name', ")
    git(commit(source), "tag", "v3.0.0")
    commands.template = source
    both: dict[str, Any] = {"channels": "messaging"}
    assert present(commands.new(both, release=3), "agent/texts.py", "agent/wording.py") == ["agent/wording.py"]
    project = commands.new(both)
    mine = edit(project, "agent/texts.py")
    commands.update(project, release=3)
    assert_clean(project)
    assert same(project, mine) and present(project, "agent/wording.py") == []
