"""Logs as JSON lines without phone numbers. The words of a conversation are never logged, not even by an error."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

# E.164, or a long run of digits. Ids such as a CallSid are longer or have letters around.
PHONE = re.compile(r"(?<![\w+])\+?[1-9]\d{6,14}(?!\w)")


def without_phone_numbers(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Keep the last two digits: enough to recognise a test call."""
    return {
        key: PHONE.sub(lambda number: f"***{number.group()[-2:]}", value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def stack_without_messages(exc_info: ExcInfo) -> list[str]:
    """The types of an error and its causes, and their stack frames. Error texts may quote the caller."""
    return list(_stack(exc_info[1]))


def _stack(error: BaseException | None) -> Iterator[str]:
    if error:
        yield from _stack(error.__cause__ or error.__context__)
        yield type(error).__name__
        for frame in traceback.extract_tb(error.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"


def configure_logging(level: str) -> None:
    """Send structlog's and the libraries' logs to stdout. Libraries log at info or above: debug quotes callers."""
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.ExceptionRenderer(stack_without_messages),
        without_phone_numbers,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processor=structlog.processors.JSONRenderer())
    )
    logging.basicConfig(level="INFO" if level == "debug" else level.upper(), handlers=[handler], force=True)
    logging.getLogger("httpx2").setLevel(logging.WARNING)  # info contains URLs: callers' numbers, secret paths
