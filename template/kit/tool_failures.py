"""Show in the terminal why a tool has failed. The log has no message of an error, since it may quote the caller."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from structlog.typing import EventDict, WrappedLogger

import agent

PROJECT = Path(agent.__path__[0]).resolve().parent
NOT_THE_USERS = {"app", "kit", ".venv"}
LONGEST = 500  # characters of a message


@contextmanager
def shown(show: Callable[[str], None]) -> Iterator[None]:
    """Call `show` with one line for each tool that fails, instead of logging it."""
    processors = structlog.get_config()["processors"]

    def take(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        error = sys.exc_info()[1]
        if event["event"] != "tool.failed" or error is None:
            return event
        show(f"{event.get('tool')} failed at {place(error)}: {message(error)}")
        raise structlog.DropEvent

    structlog.configure(processors=[take, *processors])
    try:
        yield
    finally:
        structlog.configure(processors=processors)


def message(error: BaseException) -> str:
    """The type and the text of an error, in one line."""
    text = " ".join("".join(traceback.format_exception_only(error)).split())
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def place(error: BaseException) -> str:
    """File and line of the user's code that raised the error or one of its causes; else of what raised it."""
    causes, cause = list[BaseException](), error
    while cause and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    frames = [frame for each in causes for frame in reversed(traceback.extract_tb(each.__traceback__))]
    frame = next((frame for frame in frames if is_the_users(Path(frame.filename))), frames[0])
    path = Path(frame.filename)
    return f"{path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path}:{frame.lineno}"


def is_the_users(path: Path) -> bool:
    return path.is_relative_to(PROJECT) and path.relative_to(PROJECT).parts[0] not in NOT_THE_USERS
