"""How a release is made, and what `make new` copies from a clone that is no release."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from copier._template import load_template_config

from hooks import release
from hooks.clone import Refused, examine, newest_tag
from hooks.new import judged, parsed
from tests.conftest import commit, git
from tests.questionnaire import ASKED, ROOT

TODAY = datetime.date(2026, 12, 24)
SECTIONS = "\n".join(f"### {title}\n\n- {{}}\n" for title in release.SECTIONS)
FILLED, EMPTY = SECTIONS.format("More.", "Nothing.", "Nothing."), SECTIONS.format(*["Nothing."] * 3)


def changelog(unreleased: str, *headings: str) -> str:
    return f"# Changelog\n\n## Unreleased\n\n{unreleased}\n" + "\n".join(f"## {h}\n\n{FILLED}" for h in headings)


TWO = changelog(FILLED, "0.2.0 - 2026-12-24", "0.1.0 - 2026-12-01")
MADE = changelog(EMPTY, "0.2.0 - 2026-12-24", "0.1.0 - 2026-12-01")


@pytest.mark.parametrize(
    ("text", "tags", "said"),
    [
        (TWO, ["v0.1.0", "v0.2.0"], ""),
        (MADE, ["v0.1.0"], ""),
        (TWO, ["v0.1.0"], "No tag v0.2.0 here: fetch it"),
        (MADE, ["v0.2.0"], "No tag v0.1.0 here: fetch it"),
        (MADE, [], "No tag v0.2.0, v0.1.0 here: fetch it"),
        (TWO, ["v0.0.9", "v0.1.0", "v0.2.0"], "The tag v0.0.9 has no entry."),
        (TWO.replace("## Unreleased", "## Next"), ["v0.1.0", "v0.2.0"], "The first entry must be Unreleased."),
        (TWO.replace("0.2.0 - 2026-12-24", "0.2"), ["v0.1.0"], "'0.2' is no heading of a release"),
        (changelog(EMPTY, "0.1.0 - 2026-12-01", "0.2.0 - 2026-12-24"), ["v0.1.0", "v0.2.0"], "the newest first"),
        (TWO.replace("### Questions\n", "### More\n"), ["v0.1.0", "v0.2.0"], "Unreleased needs What a project sees"),
        (TWO.replace("- Nothing.", ""), ["v0.1.0", "v0.2.0"], "none empty"),
        (TWO.replace("- More.", "- Nothing."), ["v0.1.0", "v0.2.0"], "0.2.0 - 2026-12-24 says nothing."),
    ],
)
def test_a_wrong_changelog_is_named(text: str, tags: list[str], said: str) -> None:
    found = list(release.problems(text, tags))
    assert any(said in problem for problem in found) if said else found == []


def test_the_changelog_is_in_order() -> None:
    text = release.CHANGELOG.read_text(encoding="utf-8")
    assert list(release.problems(text, release.tags_of(ROOT))) == []


def test_a_prepared_release_is_the_next_tag() -> None:
    text = release.prepared(changelog(FILLED, "0.1.0 - 2026-12-01"), "0.2.0", TODAY)
    assert text == MADE
    assert release.next_tag(text, ["v0.1.0"]) == "v0.2.0"
    assert release.next_tag(text, ["v0.1.0", "v0.2.0"]) == ""
    assert release.notes(text).startswith("### What a project sees\n\n- More.\n\n### Questions\n")
    assert release.next_tag(changelog(FILLED), []) == ""
    with pytest.raises(ValueError, match="fetch it"):
        release.next_tag(MADE, ["v0.2.0"])


@pytest.mark.parametrize(
    ("text", "version", "said"),
    [
        (TWO, "0.2.0", "does not come after 0.2.0"),
        (TWO, "0.1.9", "does not come after 0.2.0"),
        (TWO, "v0.3.0", "is no version"),
        (MADE, "0.3.0", "Write down what a project sees"),
    ],
)
def test_a_release_that_cannot_be_is_refused(text: str, version: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        release.prepared(text, version, TODAY)


def test_a_shallow_clone_does_not_pass_for_one_without_tags(repository: Path, tmp_path: Path) -> None:
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=1", repository.as_uri(), str(shallow)], check=True)
    with pytest.raises(ValueError, match="git fetch --tags --unshallow"):
        release.tags_of(shallow)
    assert release.tags_of(repository) == ["v0.1.0"]


def questions_at(tag: str, place: Path) -> set[str]:
    """The names of the questions that a release asks, or takes with `-d`."""
    archive = subprocess.run(["git", "archive", tag], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "-x", "-C", str(place)], input=archive, check=True)
    config = load_template_config(place / "copier.yml")
    return {name for name, details in config.items() if not name.startswith("_") and details.get("when", True)}


def test_the_changelog_names_new_and_removed_questions(tmp_path: Path) -> None:
    """Everything that changed since the newest tag stands below Unreleased, or in the release that is being made."""
    listed = release.entries(release.CHANGELOG.read_text(encoding="utf-8"))
    tags = release.tags_of(ROOT)
    newest = newest_tag(ROOT)
    before = questions_at(newest, tmp_path) if newest else set()
    said = "\n".join(entry.sections["Questions"] for entry in listed if f"v{entry.version}" not in tags)
    unnamed = [name for name in ASKED.keys() ^ before if f"`{name}`" not in said]
    assert not unnamed, f"Write them into CHANGELOG.md, Unreleased, Questions: {', '.join(sorted(unnamed))}"


def test_what_a_release_changes_is_written_down() -> None:
    newest, tags = newest_tag(ROOT), release.tags_of(ROOT)
    listed = release.entries(release.CHANGELOG.read_text(encoding="utf-8"))
    said = [entry for entry in listed if f"v{entry.version}" not in tags and not entry.is_empty]
    emitted = ["template", "includes", "copier.yml", "copier"]
    changed = git(ROOT, "diff", "--name-only", newest, "--", *emitted) if newest else "everything"
    assert said or not changed, f"Write what a project sees of it into CHANGELOG.md, below Unreleased: {changed}"


def test_the_script_runs_from_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "hooks.release", "next"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    newest = next((entry.version for entry in release.entries(release.CHANGELOG.read_text()) if entry.version), "")
    assert done.stdout.strip() in {"", f"v{newest}"}


# --- What a clone gives ---------------------------------------------------------------------------


@pytest.fixture
def clone(folder: Path, tmp_path: Path) -> Path:
    """A clone without a tag, and without changes."""
    return commit(Path(shutil.copytree(folder, tmp_path / "template")))


def make_new(clone: Path, project: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    """`make new` with the tools of this environment, and without a prompt."""
    tools = Path(sys.executable).parent
    answers = "" if any(variable.startswith("ARGS=") for variable in variables) else "ARGS=--defaults"
    command = ["make", "-o", ".venv/ready", f"BIN={tools}", "new", f"DEST={project}", *filter(None, [answers])]
    return subprocess.run([*command, *variables], cwd=clone, capture_output=True, encoding="utf-8")


def recorded_commit(project: Path) -> str:
    lines = (project / ".copier-answers.yml").read_text(encoding="utf-8").splitlines()
    return next(line.removeprefix("_commit: ").strip("'\"") for line in lines if line.startswith("_commit: "))


def update(project: Path) -> subprocess.CompletedProcess[str]:
    commit(project)
    return subprocess.run(
        ["copier", "update", "--quiet", "--defaults"], cwd=project, capture_output=True, encoding="utf-8"
    )


def test_a_clone_with_uncommitted_changes_is_refused(clone: Path, tmp_path: Path) -> None:
    (clone / "template" / "Dockerfile.jinja").write_text("FROM scratch\n")
    (clone / "template" / "mine.md").write_text("Mine\n")
    done = make_new(clone, tmp_path / "project")
    assert done.returncode == 2
    assert "uncommitted changes (template/Dockerfile.jinja, template/mine.md)" in done.stderr
    assert not (tmp_path / "project").exists()


def test_a_draft_has_the_changes_and_can_never_be_updated(clone: Path, tmp_path: Path) -> None:
    """Why a clone with uncommitted changes is refused."""
    git(clone, "tag", "v0.1.0")
    (clone / "template" / "Dockerfile.jinja").write_text("FROM scratch\n")
    project = tmp_path / "project"
    done = make_new(clone, project, "DRAFT=1")
    assert done.returncode == 0, done.stderr
    assert "to throw away" in done.stderr and (project / "Dockerfile").read_text() == "FROM scratch\n"
    commit(clone)
    git(clone, "tag", "v0.2.0")
    failed = update(project)
    assert failed.returncode != 0 and "Unknown revision" in failed.stderr


def test_a_clone_without_a_tag_gives_a_project_that_reaches_the_first_release(clone: Path, tmp_path: Path) -> None:
    project = tmp_path / "project"
    done = make_new(clone, project)
    assert done.returncode == 0, done.stderr
    assert f"{recorded_commit(project)}, which is no release" in done.stderr
    (clone / "template" / "new.md").write_text("New\n")
    commit(clone)
    git(clone, "tag", "v0.1.0")
    updated = update(project)
    assert updated.returncode == 0, updated.stderr
    assert recorded_commit(project) == "v0.1.0" and (project / "new.md").exists()


def test_a_clone_with_a_tag_gives_that_release_whatever_lies_beside_it(clone: Path, tmp_path: Path) -> None:
    git(clone, "tag", "v0.1.0")
    assert examine(clone, []) == "The project gets v0.1.0."
    (clone / "template" / "new.md").write_text("New\n")
    commit(clone)
    (clone / "template" / "newer.md").write_text("Newer\n")
    project = tmp_path / "project"
    done = make_new(clone, project)
    said = "v0.1.0, without your uncommitted changes (template/newer.md) and the last commit of this clone."
    assert done.returncode == 0 and f"The project gets {said}" in done.stderr
    assert recorded_commit(project) == "v0.1.0" and not list(project.glob("new*.md"))
    with pytest.raises(Refused):
        examine(clone, ["--defaults", "--vcs-ref", "HEAD"])


@pytest.mark.matrix
def test_a_commit_after_a_tag_waits_for_the_next_release(clone: Path, tmp_path: Path) -> None:
    git(clone, "tag", "v0.1.0")
    (clone / "template" / "new.md").write_text("New\n")
    commit(clone)
    project = tmp_path / "project"
    assert make_new(clone, project, "ARGS=--defaults -r HEAD").returncode == 0
    assert recorded_commit(project).startswith("v0.1.0-1-g")
    early = update(project)
    assert early.returncode != 0 and "Downgrades are not supported" in early.stderr
    (clone / "template" / "newer.md").write_text("Newer\n")
    commit(clone)
    git(clone, "tag", "v0.2.0")
    assert update(project).returncode == 0
    assert recorded_commit(project) == "v0.2.0" and (project / "newer.md").exists()


@pytest.mark.parametrize(
    ("arguments", "ref"),
    [([], "v0.10.0"), (["-r", "main"], "main"), (["--vcs-ref=HEAD"], "release "), (["-d", "level=2"], "v0.10.0")],
    ids=json.dumps,
)
def test_the_ref_is_the_one_that_copier_takes(arguments: list[str], ref: str, clone: Path) -> None:
    for tag in ["v0.9.0", "v0.10.0", "v0.11.0rc1", "nightly"]:
        git(clone, "tag", tag)
    assert f"The project gets {ref}" in examine(clone, arguments)


def test_an_archive_is_refused(folder: Path, tmp_path: Path) -> None:
    done = make_new(Path(shutil.copytree(folder, tmp_path / "template")), tmp_path / "project")
    assert done.returncode == 2 and "no clone of the template" in done.stderr


def test_a_refusal_of_make_new_is_a_line_for_each_problem(clone: Path, tmp_path: Path) -> None:
    (tmp_path / "answers.yml").write_text("regulations: [hipaa]\nlevel: 9\nvoice: two words\n")
    given = f"ARGS=--defaults --data-file {tmp_path / 'answers.yml'} -d path=aws -d voice=Ada"
    done = make_new(clone, tmp_path / "project", given)
    assert done.returncode == 2 and not (tmp_path / "project").exists()
    said, level, path, end = done.stderr.splitlines()
    assert said.startswith("The project gets ") and end.startswith("make")
    assert level.startswith("level=9 is no choice.") and path.startswith("path=aws does not go with regulations=hipaa")
    (tmp_path / "answers.yml").write_text("[")
    done = make_new(clone, tmp_path / "project", given)
    assert done.returncode == 2 and done.stderr.splitlines()[1].startswith(f"{tmp_path / 'answers.yml'} is not YAML: ")


def test_an_answer_of_the_arguments_may_wait_for_those_of_the_prompts(clone: Path, tmp_path: Path) -> None:
    """With `--defaults` the second answer is refused at once: openai is the first choice there."""
    given = parsed(["-d", "fallback_provider=openai", "-d", "session_store=dynamodb"])
    assert judged(given, tmp_path / "project", "HEAD").problems == []
    given = parsed(["-d", "fallback_provider=openai", "-d", "path=tac", "-dsession_store=dynamodb"])
    assert [problem.question for problem in judged(given, tmp_path / "project", "HEAD").problems] == ["session_store"]
    given = parsed(["-l", "-d", "fallback_provider=openai"])
    assert [problem.question for problem in judged(given, tmp_path / "project", "HEAD").problems] == [
        "fallback_provider"
    ]


def test_make_new_judges_by_the_release_that_it_copies(clone: Path, tmp_path: Path) -> None:
    git(clone, "tag", "v0.1.0")
    choose = clone / "copier" / "choose.yml"
    choose.write_text(
        choose.read_text(encoding="utf-8").replace("OpenAI: {value: openai,", "OpenAI: {value: closed,", 1)
    )
    commit(clone)
    project = tmp_path / "project"
    assert make_new(clone, project, "ARGS=--defaults --quiet -d model_provider=openai").returncode == 0
    done = make_new(clone, tmp_path / "newer", "ARGS=--defaults -r HEAD -d model_provider=openai")
    assert done.returncode == 2 and "model_provider=openai is no choice." in done.stderr


def test_make_new_asks_what_an_architect_would(clone: Path, tmp_path: Path) -> None:
    done = make_new(clone, tmp_path / "project", "ARGS=--defaults --quiet -d outcome=commerce")
    assert done.returncode == 0 and "Worth asking: Callers order or pay" in done.stderr
