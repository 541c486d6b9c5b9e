"""Logs as JSON lines without phone and card numbers. Words of a conversation are never logged, not even by an error."""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

# What stands between the digits of one number: spaces, dashes, dots, slashes, parentheses, commas, in any script.
SEPARATOR = r"""(?:%20|[^\w\r\n+:;=<>\[\]{}|&?#@!*$%"'])"""
DIGITS = rf"\d++(?:{SEPARATOR}{{1,3}}\d++)*"
SEVEN_DIGITS = re.compile(rf"\d(?:{SEPARATOR}{{0,3}}\d){{6}}")
# Ids such as a CallSid have letters around. Other scripts write no space between words and numbers.
NUMBER = re.compile(rf"(?:\+|%2B){DIGITS}|(?<![A-Za-z0-9_+]){DIGITS}(?![A-WYZa-wyz_])")
OCTET, DAY, MONTH, YEAR = (
    r"(?:\d\d?|1\d\d|2[0-5]\d)",
    r"(?:0?[1-9]|[12]\d|3[01])",
    r"(?:0?[1-9]|1[0-2])",
    r"(?:19|20)\d\d",
)
READABLE = re.compile(  # UUIDs, dates, IP addresses
    r"[\da-fA-F]{8}(?:-[\da-fA-F]{4}){3}-[\da-fA-F]{12}"
    rf"|(?<![\d+/.-])(?:{YEAR}([-/.]){MONTH}\1{DAY}|(?:{DAY}([-/.]){MONTH}|{MONTH}([-/.]){DAY})[-/.]{YEAR})(?![-/.]?\d)"
    rf"|(?<![\d+.])(?<!\d[ -]){OCTET}(?:\.{OCTET}){{3}}(?!\.?\d)"
)
UNIX_TIME = re.compile(r"(?:1[5-9]|2[01])\d{11}(?:\d{3}){0,2}")  # in milliseconds, microseconds or nanoseconds
CARD_LIKE = re.compile(rf"(?<![\d+])\+?\d(?:{SEPARATOR}{{0,3}}\d){{12,}}")
OURS = {"timestamp", "level", "_record", "_from_structlog"}  # set by structlog
MAX_GROUPS = 30  # of digits; a longer run is hidden without a closer look
SMALLEST = 2_000_000_000  # integers below are counts, sizes and times


def redact_numbers(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide phone and card numbers but for the last two digits: enough to recognise a test call."""
    return {key: value if key in OURS else redacted(value) for key, value in event.items()}


def redacted(value: Any) -> Any:
    """The value as JSON, with each text and key redacted."""
    match value:
        case bool() | float() | None:
            return value
        case int():
            return redact(str(value)) if abs(value) >= SMALLEST else value
        case Mapping():
            return {redact(str(key)): redacted(each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [redacted(each) for each in value]
        case str() | date():
            return redact(str(value))
    return redact(repr(value))


def redact(text: str) -> str:
    if not SEVEN_DIGITS.search(text):
        return text
    parts, end = [], 0
    for readable in READABLE.finditer(text):
        parts += [NUMBER.sub(_hide, text[end : readable.start()]), readable[0]]
        end = readable.end()
    return "".join([*parts, NUMBER.sub(_hide, text[end:])])


def _hide(found: re.Match[str]) -> str:
    text, groups = found[0], re.findall(r"\d+", found[0])
    if re.fullmatch(r"\d+\.\d+", text) or UNIX_TIME.fullmatch(text):
        return text
    international = text.startswith(("+", "%2B")) and sum(map(len, groups)) in range(7, 16)
    if international or has_card(groups):
        return f"***{text[-2:]}"
    return ",".join(f"***{part[-2:]}" if _is_phone(part) else part for part in text.split(","))


def _is_phone(text: str) -> bool:
    groups = re.findall(r"\d+", text)
    count = sum(map(len, groups))
    if count < 7 or text.startswith("000"):
        return False
    # With 16 to 19 digits it is a card number or an id.
    return (
        count not in range(16, 20) or text.startswith(("+", "%2B")) or (len(groups) > 1 and max(map(len, groups)) > 6)
    )


def has_card(groups: Sequence[str]) -> bool:
    """Whether neighbouring groups of digits make a card number, 13 to 19 digits with a check digit, or may do so."""
    count = len(groups)
    runs = (
        "".join(groups[start:end]) for start in range(count) for end in range(start + 1, min(start + 19, count) + 1)
    )
    return count > MAX_GROUPS or any(13 <= len(run) <= 19 and luhn(run) for run in runs)


def without_cards(text: str) -> str:
    """The text with "[card number]" for each number that may be of a card. One after a plus is of a phone."""

    def replace(found: re.Match[str]) -> str:
        groups = re.findall(r"\d+", found[0])
        other = UNIX_TIME.fullmatch(found[0]) or (found[0][0] == "+" and sum(map(len, groups)) <= 15)
        return "[card number]" if has_card(groups) and not other else found[0]

    return CARD_LIKE.sub(replace, text)


def luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of a card number."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0


def stack_without_messages(exc_info: ExcInfo) -> list[str]:
    """The types of an error and its causes, and their stack frames. Error texts may quote the caller."""
    return list(_stack(exc_info[1]))


def _stack(error: BaseException | None) -> Iterator[str]:
    if error:
        yield from _stack(error.__cause__ or error.__context__)
        yield type(error).__name__
        for frame in traceback.extract_tb(error.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"


def configure_logging(level: str, *filters: Processor, exports: Sequence[Processor] = ()) -> None:
    """Send structlog's and the libraries' logs to stdout. Libraries log at info or above: debug quotes callers.

    `exports` get each line as it is logged.
    """
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.ExceptionRenderer(stack_without_messages),
        *filters,
        redact_numbers,
        *exports,
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
