"""An update to other answers gives the files of a fresh copy, and does not touch the user's files.

The user's zone is written once: an update brings files there and takes its own away again, but it
changes none.
"""

from __future__ import annotations

import json
import random
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import StrictUndefined

from tests.conftest import Render, Update, commit, files, git, recorded
from tests.pairs import pairwise
from tests.questionnaire import CONFIG, DEFAULTS, Answers, asked, changes, record
from tests.renderer import ENVIRONMENT, ZONE

FURTHER: list[tuple[Answers, Answers]] = [
    ({"path": "manual"}, {"partial_prompts": True}),
    ({"path": "manual", "partial_prompts": True}, {"path": "tac", "partial_prompts": False}),
    ({"model_provider": "azure"}, {"model_provider": "bedrock", "fallback_provider": "openai"}),
    ({"fallback_provider": "google"}, {"fallback_provider": "azure", "path": "manual"}),
    ({"model_provider": "google", "fallback_provider": "openai"}, {"path": "azure"}),
    ({"path": "manual", "model_provider": "bedrock", "fallback_provider": "openai"}, {"path": "aws"}),
    ({"path": "manual", "languages": ["zh-HK"], "tts_provider": "Google"}, {"tts_provider": "Amazon"}),
    ({"level": "1", "path": "manual"}, {"level": "2"}),
    ({"level": "2"}, {"level": "3"}),
    ({"level": "3", "path": "manual"}, {"level": "4"}),
    ({"level": "4", "path": "manual"}, {"level": "2", "memory_backend": "database"}),
    ({"level": "3"}, {"level": "custom", "memory": True, "escalation": True}),
    ({"level": "4"}, {"routing": "skills", "session_store": "redis"}),
    ({"path": "aws", "level": "2"}, {"session_store": "dynamodb"}),
    ({"path": "aws", "session_store": "dynamodb"}, {"path": "tac", "session_store": "redis"}),
    ({"path": "azure", "level": "2"}, {"azure_runtime": "foundry"}),
    ({"path": "azure", "azure_runtime": "foundry"}, {"path": "aws"}),
    (
        {"path": "aws", "aws_runtime": "agentcore"},
        {"path": "aws", "aws_runtime": "agentcore", "session_store": "dynamodb", "deploy_target": "lambda"},
    ),
    ({"path": "manual", "level": "3"}, {"channels": "messaging"}),
    ({"channels": "voice_and_messaging", "level": "4"}, {"channels": "messaging", "session_store": "redis"}),
    ({"channels": "messaging", "level": "2"}, {"path": "manual", "memory_backend": "database"}),
    ({"channels": "messaging"}, {"channels": "voice_and_messaging"}),
    ({"level": "3"}, {"regulations": ["gdpr", "eu_ai_act"], "recording": True}),
    ({"path": "manual", "level": "4"}, {"regulations": ["hipaa", "pci"], "memory_backend": "database"}),
    ({"path": "manual", "level": "4", "channels": "omnichannel"}, {"observability": "otlp"}),
    ({"path": "manual", "outcome": "outbound"}, {"path": "tac", "outcome": "commerce", "python_version": "3.13"}),
]
ALL_AT_ONCE: Answers = {
    "project_name": "Front Desk",
    "description": "Books appointments.",
    "outcome": "outbound",
    "model_provider": "anthropic",
    "fallback_provider": "google",
    "stt_provider": "Google",
    "tts_provider": "Google",
    "voice": "some.Voice-1",
    "greeting_interruptible": False,
    "turn_detection": "silence",
    "interrupt_sensitivity": "low",
    "application_reconnect": True,
    "speech_failover": "off",
    "python_version": "3.12",
}
"""Answers that change words in files; `make matrix` switches them one by one, too."""
SHAPING = {"channels", "level", "path", "memory_backend", "session_store", "observability", "profile", "languages"}
"""Answers that bring files and take them away."""
SINGLE: list[tuple[Answers, Answers]] = [({}, change) for change in changes()]
SWITCHES = [({}, ALL_AT_ONCE), *SINGLE, *FURTHER]


def marked(slow: Callable[[Answers, Answers], bool]) -> list[Any]:
    """Every switch; those that are `slow` have time until the night."""
    return [
        pytest.param(before, change, marks=pytest.mark.matrix if slow(before, change) else ())
        for before, change in SWITCHES
    ]


def changes_words(before: Answers, change: Answers) -> bool:
    """One answer that changes words: they are switched all at once."""
    return not before and change != ALL_AT_ONCE and not change.keys() & SHAPING


def has_time(before: Answers, change: Answers) -> bool:
    """Most switches, and one answer of the default project: the test of a first week's edits makes that step."""
    if before:
        return FURTHER.index((before, change)) % 4 != 0
    return change != ALL_AT_ONCE


def goes_elsewhere(before: Answers, change: Answers) -> bool:
    """What comes before is another project; its files come and go by the same table."""
    return bool(before) or changes_words(before, change)


def restored(before: Answers, after: Answers) -> Answers:
    """The answers that undo the switch."""
    start, end = record(before), record(before | after)
    return {name: value for name, value in start.items() if name in after or name not in end}


def own_zone(tree: dict[str, bytes]) -> dict[str, bytes]:
    return {name: body for name, body in tree.items() if name.startswith(ZONE)}


def machinery(tree: dict[str, bytes]) -> dict[str, bytes]:
    return {name: body for name, body in tree.items() if not name.startswith(ZONE)}


def assert_clean(project: Path) -> None:
    """No conflict marker, no .rej file, no unmerged path. A marker in what git ignores, as a cache, does not count."""
    listed = git(project, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    paths = [project / name for name in set(filter(None, listed)) if (project / name).is_file()]
    assert not list(project.rglob("*.rej"))
    assert not [path for path in paths if b"<<<<<<< " in (body := path.read_bytes()) or b">>>>>>> " in body]
    assert "U" not in {line[:2].strip() for line in git(project, "status", "--porcelain").splitlines()}


def assert_fresh(now: dict[str, bytes], wanted: dict[str, bytes]) -> None:
    """Equal to a fresh copy, except for the texts of the user's files."""
    assert machinery(now) == machinery(wanted)
    assert own_zone(now).keys() == own_zone(wanted).keys()


@pytest.fixture(scope="module")
def fresh(create: Render, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Answers], dict[str, bytes]]:
    """The files of a fresh copy of the released template."""
    known: dict[str, dict[str, bytes]] = {}

    def copy(answers: Answers) -> dict[str, bytes]:
        key = json.dumps(DEFAULTS | answers, sort_keys=True)
        if key not in known:
            given = {name: value for name, value in answers.items() if name in record(answers)}
            known[key] = files(create(tmp_path_factory.mktemp("fresh") / "project", **given))
        return known[key]

    return copy


@pytest.mark.parametrize(("before", "after"), marked(has_time), ids=json.dumps)
def test_a_switch_and_back_equal_fresh_copies(
    before: Answers,
    after: Answers,
    create: Render,
    update: Update,
    fresh: Callable[[Answers], dict[str, bytes]],
    tmp_path: Path,
) -> None:
    project = create(tmp_path / "project", **before)
    start = files(project)
    for change, target in [(after, before | after), (restored(before, after), before)]:
        update(project, **change)
        assert_clean(project)
        now, wanted = files(project), fresh(target)
        assert_fresh(now, wanted)
        for name, body in own_zone(now).items():
            assert body == start.get(name, wanted[name]), f"{name} is the user's"
        commit(project)
    assert recorded(project) == record(before)


def walks(number: int) -> Iterator[Any]:
    """Random valid answers, one set after another. `make test` takes the first walk."""
    draw = random.Random(20261128)
    for count in range(number):
        yield pytest.param(draw.sample(pairwise(), 4), id=str(count), marks=pytest.mark.matrix if count else ())


@pytest.mark.parametrize("walk", list(walks(32)))
def test_every_step_of_a_random_walk_equals_a_fresh_copy(
    walk: list[Answers],
    create: Render,
    update: Update,
    fresh: Callable[[Answers], dict[str, bytes]],
    tmp_path: Path,
) -> None:
    project = create(tmp_path / "project", **asked(walk[0]))
    for answers in walk[1:]:
        update(project, **asked(answers))
        assert_clean(project)
        assert_fresh(files(project), fresh(answers))
        commit(project)


def edited(project: Path) -> dict[str, bytes]:
    """The edits of a first week. Returns the files that only the user changes."""
    pyproject = project / "pyproject.toml"
    text = pyproject.read_text()
    for anchor, package in {"dependencies = [\n": "phonenumbers>=9,<10", "dev = [\n": "hypothesis>=6,<7"}.items():
        assert text.count(anchor) == 1
        text = text.replace(anchor, f'{anchor}    "{package}",\n')
    pyproject.write_text(f"{text}\n[tool.hypothesis]\nmine = true\n")
    for name in [".env.example", ".gitignore", "README.md"]:
        with (project / name).open("a") as end:
            end.write("\n# Mine\nMINE=1\n")
    (project / "agent" / "prompt.md").write_text("You are Ada.\n")
    for said in [name for name in ["phrases.py", "texts.py"] if (project / "agent" / name).exists()]:
        with (project / "agent" / said).open("a") as end:
            end.write("\n# Mine\n")
    (project / "agent" / "tools.py").write_text(
        'async def add(a: int, b: int) -> int:\n    """Add."""\n    return a + b\n'
    )
    (project / "agent" / "prices.py").write_text("PRICES = {'tea': 3}\n")
    (project / "app" / "crm.py").write_text("CRM = None\n")
    (project / "tests" / "test_prices.py").write_text("def test_tea() -> None: ...\n")
    (project / "scenarios" / "tea.yml").write_text("description: Tea.\n")
    (project / "scenarios" / "call-barge-in.yml").write_text("description: Mine now.\n")
    own = {"app/crm.py"}
    return {name: body for name, body in files(project).items() if name in own or name.startswith(ZONE)}


@pytest.mark.parametrize(("before", "change"), marked(goes_elsewhere), ids=json.dumps)
def test_the_edits_of_a_first_week_survive_every_switch(
    before: Answers,
    change: Answers,
    create: Render,
    update: Update,
    fresh: Callable[[Answers], dict[str, bytes]],
    tmp_path: Path,
) -> None:
    project = create(tmp_path / "project", **before)
    shipped = files(project).keys()
    mine = edited(project)
    commit(project)
    update(project, **change)
    assert_clean(project)
    after = files(project)
    switched_off = shipped - fresh(before | change).keys()
    for name in mine:
        assert after.get(name) == (None if name in switched_off else mine[name]), name
    pyproject = tomllib.loads(after["pyproject.toml"].decode())
    assert "phonenumbers>=9,<10" in pyproject["project"]["dependencies"]
    assert "hypothesis>=6,<7" in pyproject["dependency-groups"]["dev"]
    for name in [".env.example", ".gitignore", "README.md"]:
        assert after[name].endswith(b"\n# Mine\nMINE=1\n")
    assert recorded(project) == record(before | change)


@pytest.mark.parametrize("entry", CONFIG["_exclude"], ids=str.strip)
def test_exclude_needs_no_answer(entry: str) -> None:
    """An update renders the new `_exclude` with the answers of the older release, in which a new name is undefined."""
    given = {"_copier_operation": "update", "_copier_conf": SimpleNamespace(data={}, dst_path=Path("project"))}
    strict = ENVIRONMENT.overlay(undefined=StrictUndefined)
    strict.from_string(entry).render(given)


def test_a_deleted_file_of_the_template_stays_deleted(create: Render, update: Update, tmp_path: Path) -> None:
    project = create(tmp_path / "project")
    (project / "Dockerfile").unlink()
    commit(project)
    update(project, model_provider="anthropic")
    assert_clean(project)
    assert not (project / "Dockerfile").exists()


@pytest.mark.parametrize("secret", ["PUBLIC_URL=https://example.com\n"])
def test_an_update_never_touches_env(secret: str, create: Render, update: Update, tmp_path: Path) -> None:
    project = create(tmp_path / "project")
    (project / ".env").write_text(secret)
    assert git(project, "status", "--porcelain") == ""
    update(project, path="manual", model_provider="anthropic")
    assert (project / ".env").read_text() == secret


def test_the_real_command_does_the_same(create: Render, update: Update, tmp_path: Path) -> None:
    """`copier update` as the README shows it, without any of the shortcuts of these tests."""
    projects = [create(tmp_path / name, path="manual") for name in ("fast", "real")]
    update(projects[0], path="tac", fallback_provider="anthropic")
    answers = ["-d", "path=tac", "-d", "fallback_provider=anthropic"]
    subprocess.run(
        ["copier", "update", "--quiet", "--vcs-ref=:current:", "--defaults", *answers], cwd=projects[1], check=True
    )
    assert files(projects[0]) == files(projects[1])


def test_a_new_release_reaches_a_project(repository: Path, create: Render, tmp_path: Path) -> None:
    """From a tag to the next one: a new line of the template's arrives beside the user's own."""
    project = create(tmp_path / "project")
    mine = edited(project)
    commit(project)
    source = tmp_path / "template"
    subprocess.run(["git", "clone", "-q", str(repository), str(source)], check=True)
    for name in ["template/app/main.py", "template/agent/tools.py", "template/scenarios/call-barge-in.yml"]:
        with (source / name).open("a") as end:
            end.write("\n# New in v0.2.0\n")
    commit(source)
    git(source, "tag", "v0.2.0")
    answers = project / ".copier-answers.yml"
    answers.write_text(answers.read_text().replace(str(repository), str(source)))
    commit(project)
    subprocess.run(["copier", "update", "--quiet", "--defaults"], cwd=project, check=True)
    assert_clean(project)
    after = files(project)
    assert after["app/main.py"].endswith(b"# New in v0.2.0\n")
    assert {name: after[name] for name in mine} == mine
