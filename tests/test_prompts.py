"""The questionnaire as a person meets it: the real command on a terminal of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from tests.conftest import recorded
from tests.questionnaire import ASKED, DEFAULTS

ENTER, DOWN, UP, ERASE = "\r", "\x1b[B", "\x1b[A", "\x15"


class Terminal:
    """What a person sees, and what they type."""

    def __init__(self, template: Path, project: Path) -> None:
        self.process = pexpect.spawn(
            str(Path(sys.executable).parent / "copier"),
            ["copy", str(template), str(project)],
            encoding="utf-8",
            timeout=30,
            dimensions=(50, 200),
            env={**os.environ, "TERM": "xterm-256color", "PROMPT_TOOLKIT_NO_CPR": "1"},
        )

    def asks(self, question: str) -> None:
        """Wait for a question, by the first sentence of its help."""
        self.process.expect_exact(ASKED[question]["help"].split("?")[0])

    def types(self, *keys: str) -> None:
        for key in keys:
            self.process.send(key)

    def shows(self, text: str) -> None:
        self.process.expect_exact(text)

    def finishes(self) -> None:
        self.process.expect(pexpect.EOF)
        self.process.close()
        assert self.process.exitstatus == 0


PROMPTS = [name for name, details in ASKED.items() if details.get("ask", True)]
Dial = Callable[[], tuple[Terminal, Path]]


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Dial:
    return lambda: (Terminal(folder, tmp_path / "project"), tmp_path / "project")


def test_enter_all_the_way_takes_the_defaults(copy: Dial) -> None:
    terminal, project = copy()
    assert len(PROMPTS) <= 10
    for question in PROMPTS:
        terminal.asks(question)
        terminal.types(ENTER)
    terminal.finishes()
    assert recorded(project) == DEFAULTS


def test_the_arrow_keys_choose(copy: Dial) -> None:
    terminal, project = copy()
    keys = {"path": [DOWN], "model_provider": [DOWN, DOWN, UP], "fallback_provider": [DOWN]}
    for question in PROMPTS:
        terminal.asks(question)
        terminal.types(*keys.get(question, []), ENTER)
    terminal.finishes()
    chosen = {"path": "manual", "model_provider": "anthropic", "fallback_provider": "openai"}
    assert recorded(project) == DEFAULTS | chosen
    assert (project / "app" / "relay").is_dir()


def test_a_refused_answer_is_explained_and_corrected_in_place(copy: Dial) -> None:
    terminal, project = copy()
    terminal.asks("project_name")
    terminal.types(ERASE, " ", ENTER)
    terminal.shows("Take 1 to 60.")
    terminal.types(ERASE, "Front Desk", ENTER)
    for question in PROMPTS[1:]:
        terminal.asks(question)
        terminal.types(ENTER)
    terminal.finishes()
    assert recorded(project) == DEFAULTS | {"project_name": "Front Desk"}


def test_a_choice_that_does_not_fit_says_why_and_cannot_be_taken(copy: Dial) -> None:
    terminal, project = copy()
    for question in PROMPTS:
        terminal.asks(question)
        if question == "fallback_provider":
            terminal.shows("fails together with model_provider=openai")
            terminal.types(DOWN)
        terminal.types(ENTER)
    terminal.finishes()
    assert recorded(project)["fallback_provider"] == "anthropic"
