"""What answers a turn. Which one, app/features.py says; the brain keeps what they have in common."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Self

import structlog
from pydantic_ai import messages as m
from pydantic_core import to_json

from app.session import Session
from app.settings import Settings

if TYPE_CHECKING:
    from app.brain import Turn

log = structlog.get_logger()

TOOL_FAILED = "The tool failed ({}). Say plainly that this did not work, and offer another way."


class Runtime(ABC):
    """What answers: models that a framework of this process runs, or a service that runs them."""

    settings: type[Settings] = Settings

    @classmethod
    @abstractmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        """`models` replace those of the settings."""

    @staticmethod
    @abstractmethod
    def asks() -> list[str]:
        """Who is asked, in order, as the environment or the answers have it."""

    @staticmethod
    @abstractmethod
    def missing() -> dict[str, str]:
        """The variables that are needed to ask them and that the environment lacks, each with its fix."""

    @staticmethod
    def unknown(settings: Any) -> list[str]:
        """What is wrong with the models that the settings name, a line for each."""
        return []

    async def warm(self) -> None:  # noqa: B027 (optional)
        """Pay for the first run before the first caller does."""

    def begin(self, session: Session) -> None:  # noqa: B027 (optional)
        """A call has arrived, or come back: its first turn is near."""

    @abstractmethod
    async def answer(
        self,
        session: Session,
        turn: Turn,
        instructions: str,
        tools: Sequence[Callable[..., Any]],
        tell: Callable[[str], None],
    ) -> None:
        """Answer `turn.asked`: tell every word as it comes, and put what is exchanged into `turn.messages`.

        Each message has the turn's `run_id`. Raises when nobody could answer.
        """

    def end(self, session_id: str) -> None:  # noqa: B027 (optional)
        """A call is over, or goes on elsewhere."""

    async def close(self) -> None:  # noqa: B027 (optional)
        """Let go of connections."""


def recorded(turn: Turn, instructions: str) -> list[m.ModelMessage]:
    """The record of a turn that begins: what was asked, and a list that takes the rest."""
    record: list[m.ModelMessage] = [
        m.ModelRequest([m.UserPromptPart(turn.asked)], instructions=instructions, run_id=turn.run_id)
    ]
    turn.messages = record
    return record


def as_text(result: Any) -> str:
    """What a tool has returned, as a model reads it."""
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)


async def within(limit: float, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """What a tool's function returns; one that may block has a thread. Raises TimeoutError after `limit` seconds."""
    async with asyncio.timeout(limit):
        if iscoroutinefunction(function):
            return await function(*args, **kwargs)
        return await asyncio.to_thread(function, *args, **kwargs)


async def attempt(name: str, call: Awaitable[Any], unless: type[Exception] | tuple[()] = ()) -> Any:
    """What a tool returns. An error becomes a sentence: its text may be a secret. `unless` is raised.

    So does what JSON cannot hold: it would stay in the history, which models read and stores keep.
    """
    try:
        result = await call
        to_json(result, bytes_mode="base64")
        return result
    except unless:
        raise
    except Exception as error:
        log.exception("tool.failed", tool=name)
        return TOOL_FAILED.format(type(error).__name__)


async def finished(turn: Turn, call_id: str | None, work: Awaitable[Any]) -> Any:
    """What a tool returns. It finishes what it began, also when the caller interrupts."""
    task = asyncio.ensure_future(work)
    if call_id:
        turn.tools[call_id] = task
    return await asyncio.shield(task)
