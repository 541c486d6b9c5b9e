"""A runtime answers one turn; `app/features.py` says which one. The brain does what all have in common."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from inspect import iscoroutinefunction
from typing import Any, Self, TypeVar
from weakref import WeakKeyDictionary

import structlog
from pydantic_ai import Tool
from pydantic_ai import messages as m
from pydantic_core import to_json

from app.session import Session
from app.settings import Settings
from app.turn import Turn

log = structlog.get_logger()

Item = TypeVar("Item")

TOOL_FAILED = "The tool failed ({}). Say plainly that this did not work, and offer another way."


class Runtime(ABC):
    """Models that a framework of this process runs, or a service that runs them."""

    settings: type[Settings] = Settings

    @classmethod
    @abstractmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        """`models` replace those of the settings."""

    @staticmethod
    @abstractmethod
    def model_names() -> list[str]:
        """The models in order of preference, from the environment or the answers."""

    @staticmethod
    @abstractmethod
    def missing_env() -> dict[str, str]:
        """Environment variables that the models need and that are not set, each with its fix."""

    @staticmethod
    def invalid_models(settings: Any) -> list[str]:
        """One line for each model name in the settings that cannot be used."""
        return []

    async def warm_up(self) -> None:  # noqa: B027 (optional)
        """Load what the first request would load."""

    def on_connect(self, session: Session) -> None:  # noqa: B027 (optional)
        """Called when a call has connected, at first or again, before its next turn."""

    @abstractmethod
    def answer(
        self, session: Session, turn: Turn, instructions: str, tools: Sequence[Callable[..., Any]]
    ) -> AsyncGenerator[str]:
        """Yield the reply to `turn.user_text` token by token, and append every message to `turn.record`.

        Each message has the turn's `run_id`. Raises when no model could answer.
        """

    def on_end(self, session_id: str) -> None:  # noqa: B027 (optional)
        """Called when a call has ended or has moved to another worker."""

    async def close(self) -> None:  # noqa: B027 (optional)
        """Close connections."""


_tools: WeakKeyDictionary[Callable[..., Any], Tool[Any]] = WeakKeyDictionary()


def tool_of(function: Callable[..., Any]) -> Tool[Any]:
    """The function as a tool of pydantic-ai. Its JSON schema is built once for each function."""
    tool = _tools.get(function)
    if tool is None:
        _tools[function] = tool = Tool(function)
    return tool


def start_record(turn: Turn, instructions: str) -> list[m.ModelMessage]:
    """The record of a turn with its request; the runtime appends the other messages."""
    record: list[m.ModelMessage] = [
        m.ModelRequest([m.UserPromptPart(turn.user_text)], instructions=instructions, run_id=turn.run_id)
    ]
    turn.record = record
    return record


def as_text(result: Any) -> str:
    """A tool's result as text for a model."""
    return result if isinstance(result, str) else json.dumps(result, ensure_ascii=False, default=str)


async def with_timeout(limit: float, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Call a tool's function; one that is not async runs in a thread. Raises TimeoutError after `limit` seconds."""
    async with asyncio.timeout(limit):
        if iscoroutinefunction(function):
            return await function(*args, **kwargs)
        return await asyncio.to_thread(function, *args, **kwargs)


async def run_tool_safely(name: str, call: Awaitable[Any], unless: type[Exception] | tuple[()] = ()) -> Any:
    """The result of a tool, or a sentence for the model when it raised; `unless` is raised.

    The error's text may be a secret and is left out. A result that JSON cannot hold counts as an error, since it would
    stay in the history, which models read and stores keep.
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


async def run_shielded(turn: Turn, call_id: str | None, work: Awaitable[Any]) -> Any:
    """Run a tool to its end, also when the caller interrupts the turn."""
    task = asyncio.ensure_future(work)
    if call_id:
        turn.tools[call_id] = task
    return await asyncio.shield(task)


class ModelFailed(Exception):
    """A failure described by the runtime: its text quotes nothing of the conversation, and is logged."""


class AnswerFailed(Exception):
    """No model began to answer in time, or the one that began broke off."""


def reason(error: BaseException) -> str:
    """Why a model failed, without what a provider may have quoted of the conversation."""
    if isinstance(error, ModelFailed):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(reason(each) for each in error.exceptions)
    return " ".join([type(error).__name__, *([str(error.status_code)] if hasattr(error, "status_code") else [])])


async def first_stream_to_begin(
    streams: Sequence[tuple[str, Callable[[], AsyncGenerator[Item]]]],
    deadline: float,
    has_begun: Callable[[Item], bool],
    *,
    explain: Callable[[BaseException], str] = reason,
    last_may_wait: bool = False,
) -> AsyncGenerator[Item]:
    """Yield the items of the first stream that begins within `deadline` seconds.

    `streams` are names of models, each with a function that opens its stream, in order of preference. A stream has
    begun with the first item for which `has_begun` is true: a token or a tool call. Earlier items are held back until
    then. A stream that fails later is not replaced, since the caller has heard a part of it. `explain` describes an
    error and quotes nothing; with `last_may_wait` the last stream has no deadline. Raises AnswerFailed.
    """
    failures = []
    for number, (model, open_stream) in enumerate(streams, 1):
        held: list[Item] = []
        begun = False
        try:
            async with aclosing(open_stream()) as stream:
                async with asyncio.timeout(None if last_may_wait and number == len(streams) else deadline):
                    async for item in stream:
                        held.append(item)
                        if begun := has_begun(item):
                            break
                if not begun:
                    raise ModelFailed("the stream ended before it began")
                for item in held:
                    yield item
                async for item in stream:
                    yield item
                return
        except Exception as error:
            log.warning("model.failed", model=model, error=explain(error))
            failures.append(explain(error))
            if begun:
                break
    raise AnswerFailed(", ".join(failures))
