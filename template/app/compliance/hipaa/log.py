"""Logs without health information: texts are logged by the server alone, which logs no words of a conversation."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from structlog.processors import CallsiteParameter, CallsiteParameterAdder
from structlog.typing import EventDict, WrappedLogger

WITHHELD = "[withheld]"
NAMES = {"level", "timestamp", "session", "call", "conversation", "exception", "_record", "_from_structlog"}
EVENT = re.compile(r"[a-z_]+(\.[a-z_]+)+")  # a name as in order.found; a sentence may have anything in it
SERVER = str(Path(__file__).parents[2])  # app/
CALLED_FROM = CallsiteParameterAdder([CallsiteParameter.PATHNAME], additional_ignores=[__name__])


def withhold_texts(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Replace each text that tools, reactions or packages log, under any name. Numbers and ids stay."""
    record = event.get("_record")
    if isinstance(record, logging.LogRecord):
        return {**event, "event": _message(record, str(event["event"]))}
    path = str(CALLED_FROM(logger, name, dict(event)).get("pathname", ""))
    if path.startswith(f"{SERVER}/"):
        # The reason of an alert comes from agent/.
        return {**event, "reason": WITHHELD} if event["event"] == "alert" and "reason" in event else event
    return {key: value if key in NAMES else _withheld(key, value) for key, value in event.items()}


def _withheld(key: str, value: Any) -> Any:
    if key == "event" and isinstance(value, str) and EVENT.fullmatch(value):
        return value
    return value if value is None or isinstance(value, bool | int | float) else WITHHELD


def _message(record: logging.LogRecord, formatted: str) -> str:
    """Of a package: the text as its code has it, without the values that it is formatted with. Uvicorn's whole."""
    if record.name.startswith("uvicorn"):
        return formatted
    template = str(record.msg)  # the same text as `formatted` may have been put together before
    return WITHHELD if template == formatted else template
