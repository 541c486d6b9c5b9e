"""After a switch, a project is green with files of the user's that were written for the old answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import Note, Render, Update, commit, files
from tests.questionnaire import Answers
from tests.renderer import ZONE
from tests.test_emitted import install, run_offline, run_suite
from tests.test_updates import assert_clean

TEXT: Answers = {"channels": "messaging"}
SWITCHES: list[tuple[Answers, Answers]] = [
    (TEXT, {"channels": "voice"}),
    ({}, TEXT),
    ({}, {"channels": "omnichannel", "level": "4"}),
    (TEXT, {"channels": "omnichannel", "level": "4", "path": "manual"}),
    ({"level": "4", "channels": "voice_and_messaging"}, {"channels": "messaging"}),
    ({"level": "4"}, {"channels": "voice_and_messaging", "routing": "skills", "languages": ["es-MX"]}),
    ({"level": "4", "path": "manual"}, {"level": "custom", "escalation": True, "intelligence": False, "memory": False}),
    ({"level": "3"}, {"operators": ["custom"], "memory_backend": "database"}),
    ({"outcome": "outbound"}, {"path": "aws", "outcome": "commerce", "session_store": "dynamodb"}),
    ({"path": "azure"}, {"path": "manual", "fallback_provider": "anthropic"}),
    ({"level": "2", "channels": "voice_and_messaging"}, {"observability": "otlp"}),
    ({"observability": "otlp", "path": "aws"}, {"observability": "off"}),
]
OWN = {
    "handoff": '''"""No condition of the example is left."""

SENSITIVE: list[str] = []
FAILURES = 0
WAY_OUT = "callback"
''',
    "phrases": '''"""Only the greeting is the team's."""

GREETING = "Tea shop. What would you like?"
''',
    "reactions": '''"""No reaction of the example is left."""

from app import Session
from app.signals import Sentiment


async def on_sentiment(signal: Sentiment, session: Session) -> None:
    session.state["mood"] = signal.label
''',
    "texts": '''"""No text is the team's."""
''',
    "tools": '''"""The tools of a tea shop."""


async def price(tea: str) -> str:
    """Say what a tea costs."""
    return f"A packet of {tea} costs four euros."
''',
}


def used(project: Path) -> Path:
    """A project of which a team has replaced the prompt and the modules, and deleted two examples."""
    (project / "agent" / "prompt.md").write_text("You are Ada. You sell tea.\n")
    for path in project.glob("agent/*.py"):
        if path.stem in OWN:
            path.write_text(OWN[path.stem])
    (project / "tests" / "test_reactions.py").unlink(missing_ok=True)
    sorted((project / "scenarios").glob("*.yml"))[0].unlink()
    return commit(project)


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("before", "change"),
    SWITCHES,
    ids=json.dumps,
)
def test_a_project_with_a_zone_for_other_answers_is_green(
    before: Answers, change: Answers, create: Render, update: Update, tmp_path: Path, note: Note
) -> None:
    project = used(create(tmp_path / "project", **before))
    own = {name: body for name, body in files(project).items() if name.startswith(ZONE)}
    update(project, **change)
    assert_clean(project)
    now = files(project)
    assert {"agent/prompt.md", "agent/tools.py"} <= own.keys() & now.keys()
    assert [name for name in own.keys() & now.keys() if own[name] != now[name]] == []
    install(project, "3.11")
    for check in ["ruff check .", "mypy"]:
        run_offline(project, check)
    run_suite(project, note, workbench=False)


@pytest.mark.matrix
def test_app_needs_no_module_of_the_user(create: Render, tmp_path: Path) -> None:
    """Without the modules of agent/, the server has a default for each name."""
    project = create(tmp_path / "project", level="4", channels="omnichannel", path="manual")
    for name in ["phrases.py", "texts.py", "handoff.py", "reactions.py", "tools.py", "__init__.py"]:
        (project / "agent" / name).unlink()
    install(project, "3.11")
    for command in ["mypy", "python -c 'import app.main'", "agent scenario app"]:
        run_offline(project, command)
