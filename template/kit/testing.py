"""Fixtures for your tests, and their types. Your tests import from here, from `agent` and from `app`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import pytest

from app.config import FIRST_LANGUAGE
from app.connection import Connection
from app.registry import load_prompt, load_tools
from app.session import Session, set_session
from kit import defaults
from kit.conventions import drivers
from kit.plugin import Begin, Reach, Talk
from kit.scenario import play
from kit.tool_stubs import ToolStubs
from kit.voice_fixtures import Dial

__all__ = ["Begin", "Dial", "GivenTools", "Reach", "RecordedConnection", "Session", "Talk", "play"]


class RecordedConnection(Connection):
    """The connection of the fixture `session`. It records the arguments of its methods, in the order of the calls.

    `said`, `played`, `digits` and `languages` are lists. `end` sets `handoff` to its argument and `open` to False.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.played: list[str] = []
        self.digits: list[str] = []
        self.languages: list[str] = []
        self.handoff: Mapping[str, Any] | None = None

    async def say(self, text: str, interruptible: bool = True) -> None:
        self.said.append(text)

    async def update_state(self, state: Mapping[str, Any], guidance: Sequence[str] | None) -> None:
        """No-op: the state is updated in place."""

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        self.open, self.handoff = False, handoff

    async def play(self, source: str, loop: int = 1) -> None:
        self.played.append(source)

    async def send_digits(self, digits: str) -> None:
        self.digits.append(digits)

    async def switch_language(self, code: str) -> None:
        self.languages.append(code)


@pytest.fixture
def session() -> Iterator[Session]:
    """The result of `this_session()` in a tool that the test calls. `session.connection` is a RecordedConnection."""
    session = Session(
        "CA" + "0" * 32,
        defaults.CALLER,
        defaults.CALLED,
        FIRST_LANGUAGE,
        now=lambda: datetime.now(UTC),
        connection=RecordedConnection(),
    )
    token = set_session(session)
    yield session
    token.var.reset(token)


@pytest.fixture
def agent_tools() -> list[Callable[..., Any]]:
    """The tools of agent/tools.py, for `tools=` of the fixtures `begin`, `dial` and `reach`."""
    return load_tools()


class GivenTools(Protocol):
    """Tools with results instead of backends. By the name of a tool an outcome, as in `given.tools` of a scenario."""

    def __call__(
        self, tools: Sequence[Callable[..., Any]] | None = None, /, **outcomes: Any
    ) -> list[Callable[..., Any]]:
        """`tools`, or those of agent/tools.py. Raises ValueError for an unknown name and a wrong outcome."""


@pytest.fixture
def given_tools() -> GivenTools:
    """The tools of agent/tools.py with given results, as in `tools=given_tools(free_times="nine thirty")`."""

    def given(tools: Sequence[Callable[..., Any]] | None = None, /, **outcomes: Any) -> list[Callable[..., Any]]:
        tools = load_tools() if tools is None else tools
        stubs = ToolStubs.read(outcomes)
        if unknown := stubs.unknown(tools):
            raise ValueError("; ".join(unknown.values()))
        return stubs.replace(tools)

    return given


@pytest.fixture
def agent_prompt() -> str:
    """The text of agent/prompt.md."""
    return load_prompt()


@pytest.fixture
def agent_phrases() -> dict[str, str]:
    """The sentences of every channel, by their names in agent/phrases.py and agent/texts.py."""
    return {
        name: phrase
        for driver in drivers().values()
        for name in dir(driver.phrases)
        if name.isupper() and isinstance(phrase := getattr(driver.phrases, name), str)
    }
