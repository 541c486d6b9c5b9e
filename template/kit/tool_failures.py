"""Show in the terminal why a tool has failed. The log has no message of an error, since it may quote the caller."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import unwrap
from pathlib import Path
from types import CodeType
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

import agent

PROJECT = Path(agent.__path__[0]).resolve().parent
NOT_THE_USERS = {"app", "kit", ".venv"}
LONGEST = 500  # characters of a message


@contextmanager
def shown(show: Callable[[str], None], tools: Sequence[Callable[..., Any]] = ()) -> Iterator[None]:
    """Call `show` with one line for each tool that fails, instead of logging it. `tools` are those of the agent."""
    processors = structlog.get_config()["processors"]
    codes = {tool.__name__: getattr(unwrap(tool), "__code__", None) for tool in tools}

    def take(logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        error = sys.exc_info()[1]
        if event["event"] != "tool.failed" or error is None:
            return event
        show(f"{event.get('tool')} failed at {place(error, codes.get(str(event.get('tool'))))}: {message(error)}")
        raise structlog.DropEvent

    structlog.configure(processors=[take, *processors])
    try:
        yield
    finally:
        structlog.configure(processors=processors)


def message(error: BaseException) -> str:
    """The type and the text of an error, in one line."""
    text = ": ".join(filter(None, [type(error).__name__, " ".join(str(error).split())]))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def place(error: BaseException, code: CodeType | None = None) -> str:
    """File and line of the user's code that raised the error or one of its causes, else of `code`, that of the tool.

    If none of these is the user's: of what raised it.
    """
    causes, cause = list[BaseException](), error
    while cause and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__  # type: ignore[assignment]
    frames = [frame for each in causes for frame in reversed(traceback.extract_tb(each.__traceback__))]
    places = [(Path(frame.filename), frame.lineno) for frame in frames]
    places += [(Path(code.co_filename), code.co_firstlineno)] if code else []
    path, line = next((place for place in places if is_the_users(place[0])), places[0])
    return f"{path.relative_to(PROJECT) if path.is_relative_to(PROJECT) else path}:{line}"


def is_the_users(path: Path) -> bool:
    return path.is_relative_to(PROJECT) and path.relative_to(PROJECT).parts[0] not in NOT_THE_USERS
