"""Logs as JSON lines, without phone numbers. What callers and the agent say is never logged."""

from __future__ import annotations

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

# E.164, and long runs of digits that could be one. Ids such as a CallSid are longer or have letters around.
PHONE = re.compile(r"(?<![\w+])\+?[1-9]\d{6,14}(?!\w)")


def without_phone_numbers(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Leave the last two digits: enough to recognise one's own test call."""
    return {
        key: PHONE.sub(lambda number: f"***{number.group()[-2:]}", value) if isinstance(value, str) else value
        for key, value in event.items()
    }


def configure_logging(level: str) -> None:
    """Send structlog's and the libraries' logs to stdout."""
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.dict_tracebacks,
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
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
