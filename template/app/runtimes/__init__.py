"""A runtime answers one turn; `app/features.py` says which one. The brain has the shared logic."""

from __future__ import annotations

import asyncio
import warnings
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import aclosing
from datetime import UTC, datetime
from inspect import unwrap
from threading import Thread
from typing import Any, Self

import structlog
from pydantic_ai import InlineDefsJsonSchemaTransformer, ModelRetry, Tool
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from pydantic_core import to_jsonable_python

from app.connection import NotSupported
from app.history import bounded_result, clean, unchanged
from app.session import Session
from app.settings import Settings
from app.turn import Turn

log = structlog.get_logger()
MAX_ROUNDS = 10  # requests to a model in one turn; each but the last called a tool
TOOL_TIMED_OUT = (
    "The tool failed (TimeoutError): it took too long. Its outcome is not known: say so, and do not try it again."
)
TOOL_FAILED = "The tool failed ({}). Say plainly that this did not work, and offer another way."


class Runtime(ABC):
    """Models that a framework of this process runs, or a service that runs them."""

    settings: type[Settings] = Settings

    @classmethod
    @abstractmethod
    def build(cls, settings: Any, models: Sequence[Any] | None = None) -> Self:
        """`models` overrides those of the settings (tests)."""

    @staticmethod
    @abstractmethod
    def model_names() -> list[str]:
        """The models in order of preference, from the environment or the answers."""

    @staticmethod
    @abstractmethod
    def missing_env() -> dict[str, str]:
        """Environment variables that the models need and that are not set, each with its fix."""

    @staticmethod
    def left_out() -> list[str]:
        """One line for each further model that cannot be asked, since its key is not set. The first answers alone."""
        return []

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


async def rehearse(runtime: Runtime) -> None:
    """Answer a turn without a caller: frameworks load much with their first turn, for which a caller would wait.

    `runtime` has a model that asks no service. A failure is logged, since real turns can be answered all the same.
    """

    async def no_tool() -> None:
        """Nothing."""

    session = Session("", "", "", "", lambda: datetime.now(UTC))
    try:
        async with aclosing(runtime.answer(session, Turn("Hello"), "You are on the phone.", [no_tool])) as tokens:
            async for _ in tokens:
                pass
    except Exception as error:
        log.warning("runtime.not_warm", error=safe_error_text(error))


def start_record(turn: Turn, instructions: str) -> list[ModelMessage]:
    """The record of a turn with its request; the runtime appends the other messages."""
    record: list[ModelMessage] = [
        ModelRequest([UserPromptPart(turn.user_text)], instructions=instructions, run_id=turn.run_id)
    ]
    turn.record = record
    return record


def start_round(turn: Turn) -> None:
    """To be called before each request to a model. Raises ModelFailed when the turn has had its MAX_ROUNDS."""
    if sum(isinstance(message, ModelResponse) for message in turn.messages) >= MAX_ROUNDS:
        raise ModelFailed(f"more than {MAX_ROUNDS} requests in one turn")


class ThreadPerCall(Executor):
    """Runs each tool that is not async in a thread of its own: one that blocks delays no other, nor the end of the
    server. A pool has few threads, and Python waits for them when it exits.
    """

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = Future[Any]()

        def run() -> None:
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)

        if future.set_running_or_notify_cancel():
            Thread(target=run, name="tool", daemon=True).start()
        return future


threads = ThreadPerCall()
MAX_SHAPES = 1000
known_tools: dict[Any, Tool[Any]] = {}  # by what their schemas depend on


def tool_of(function: Callable[..., Any]) -> Tool[Any]:
    """The function as a tool of pydantic-ai. Its JSON schema is built once, without `$ref`, also where each session has
    a function of its own: it takes longer than the rest of a turn.
    """
    key = shape_of(function)
    if key not in known_tools:
        if len(known_tools) > MAX_SHAPES:  # of tools whose types are made in each session
            known_tools.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a result or a default without a schema, which needs none
            tool: Tool[Any] = Tool(function)
        # Not every model reads a `$ref`; pydantic-ai knows which, but asks no model of the other runtimes.
        tool.function_schema.json_schema = InlineDefsJsonSchemaTransformer(tool.function_schema.json_schema).walk()
        tool.function = tool.function_schema.function = tool_of  # the function itself has the session of one call
        known_tools[key] = tool
    return known_tools[key]


def shape_of(function: Any) -> tuple[Any, ...]:
    """What the schema of a function depends on. Its code comes first."""
    code = unwrap(function).__code__
    own = [getattr(function, name, None) for name in ("__defaults__", "__kwdefaults__", "__signature__")]
    types: Any = tuple(function.__annotations__.values())
    try:
        hash(types)
    except TypeError:  # a list in Annotated
        types = repr(types)
    return (code, function.__name__, function.__doc__, types, *(each and repr(each) for each in own))


async def run_tool_safely(name: str, call: Awaitable[Any], filtered: Callable[[Any], Any] = unchanged) -> Any:
    """The result of a tool as JSON data of bounded size, or a sentence for the model when it raised.

    The error's text may be a secret and is left out, except that of ModelRetry, which is meant for the model. A result
    that JSON cannot hold counts as an error, since models read the history and stores keep it. So does SystemExit,
    which would end the server; only the cancellation of this task is raised.
    """
    try:
        return bounded_result(filtered(to_jsonable_python(clean(await call), bytes_mode="base64")))
    except ModelRetry as retry:
        return bounded_result(filtered(retry.message))
    except NotSupported as error:  # the channel cannot, or the customer has opted out
        log.warning("tool.not_supported", tool=name, reason=str(error))
        return TOOL_FAILED.format(type(error).__name__)
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
            raise
        log.exception("tool.failed", tool=name)
        # What timed out may have been done all the same, as in a thread, which goes on.
        return TOOL_TIMED_OUT if isinstance(error, TimeoutError) else TOOL_FAILED.format(type(error).__name__)


async def run_shielded(turn: Turn, call_id: str | None, work: Awaitable[Any]) -> Any:
    """Run a tool to its end, also when the caller interrupts the turn."""
    task = asyncio.ensure_future(work)
    if call_id:
        turn.tools[call_id] = task
    return await asyncio.shield(task)


class ModelFailed(Exception):
    """A failure described by the runtime: its text quotes nothing of the conversation, and is logged."""


def safe_error_text(error: BaseException) -> str:
    """Why a model failed, without what a provider may have quoted of the conversation."""
    if isinstance(error, ModelFailed):
        return str(error)
    if isinstance(error, BaseExceptionGroup):
        return ", ".join(safe_error_text(each) for each in error.exceptions)
    return " ".join([type(error).__name__, *([str(error.status_code)] if hasattr(error, "status_code") else [])])
