"""What the log hides and what it leaves: phone and card numbers, in any writing, at any depth."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest
import structlog

from app.log import luhn, redact, redacted

PHONES = {
    "e164": "+15005550006",
    "no plus": "15005550006",
    "german": "+4915112345678",
    "german without plus": "4915112345678",
    "international prefix": "0049 151 12345678",
    "national": "01711234506",
    "spaces": "+1 500 555 0006",
    "parentheses": "(500) 555-0006",
    "parentheses and plus": "+1 (500) 555-0006",
    "plus in parentheses": "(+1) 500 555 0006",
    "dashes": "500-555-0006",
    "dots": "500.555.0006",
    "slashes": "0171/555 00 06",
    "spaced slashes": "0171 / 555 00 06",
    "mixed": "+1-500.555 (00) 06",
    "spaced dashes": "500 - 555 - 0006",
    "local": "555-0006",
    "danish": "12 34 56 06",
    "french": "01.23.45.67.06",
    "digit by digit": "5 0 0 5 5 5 0 0 0 6",
    "commas and a plus": "+1, 500, 555, 0006",
    "NBSP": "+1\xa0500\xa0555\xa00006",
    "narrow NBSP": "+1\u202f500\u202f555\u202f0006",
    "thin spaces": "500\u2009555\u20090006",
    "figure spaces": "500\u2007555\u20070006",
    "non-breaking hyphens": "500\u2011555\u20110006",
    "en dashes": "500–555–0006",
    "em dashes": "500—555—0006",
    "minus signs": "500−555−0006",
    "fullwidth": "＋１（５００）５５５－０００６",  # noqa: RUF001
    "zero width spaces": "500\u200b555\u200b0006",
    "soft hyphens": "500\xad555\xad0006",
    "direction marks": "\u202a+1 500 555 0006\u202c",
    "middle dots": "500·555·0006",
    "arabic": "٥٠٠٥٥٥٠٠٠٦",
    "arabic with spaces": "٥٠٠ ٥٥٥ ٠٠٠٦",
    "persian": "+۱ ۵۰۰ ۵۵۵ ۰۰۰۶",
    "devanagari": "५०० ५५५ ०००६",
    "bengali": "৫০০৫৫৫০০০৬",
    "thai": "๕๐๐-๕๕๕-๐๐๐๖",
    "among chinese": "电话13800138006号码",
    "among japanese": "番号は090-1234-5606です",
    "tel": "tel:+15005550006",
    "whatsapp": "whatsapp:+15005550006",
    "sip": "sip:15005550006@example.com",
    "in a query": "https://agent.example/twiml?From=%2B15005550006&To=x",
    "spaces in a query": "https://agent.example/twiml?From=%2B1%20500%20555%200006",
    "in a file name": "recording_+15005550006_1.wav",
    "extension": "500-555-0006x12",
    "sentence": "call +1 500 555 0006. Thanks",
    "two": "15005550006 and 15005550006",
    "two in a row": "15005550006 15005550006",
    "two with commas": "500-555-0006, 500-555-0006",
    "two grouped": "500 555 0006 500 555 0006",
    "a count before": "2 +15005550006",
    "quoted": "'15005550006'",
}
CARDS = {
    "visa": "4111111111111111",
    "amex": "378282246310005",
    "diners": "30569309025904",
    "nineteen": "6304000000000000000",
    "old visa": "4222222222222",
    "spaces": "4111 1111 1111 1111",
    "dashes": "4111-1111-1111-1111",
    "dots": "4111.1111.1111.1111",
    "slashes": "4111/1111/1111/1111",
    "commas": "4111, 1111, 1111, 1111",
    "mixed": "4111 1111-1111.1111",
    "NBSP": "4111\xa01111\xa01111\xa01111",
    "amex groups": "3782 822463 10005",
    "parentheses": "(4111) (1111) (1111) (1111)",
    "digit by digit": "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1",
    "spaced dashes": "4111 - 1111 - 1111 - 1111",
    "arabic": "٤١١١ ١١١١ ١١١١ ١١١١",
    "fullwidth": "４１１１１１１１１１１１１１１１",  # noqa: RUF001
    "after a count": "2 4111 1111 1111 1111",
    "before an expiry": "4111 1111 1111 1111 12/29",
    "among chinese": "卡号4111111111111111。",
}
READABLE = [
    "CA" + "1234567890" * 3 + "12",
    "conv_configuration_01kcrvw16kfa88qvgrfmr7y151",
    "12345678-1234-1234-1234-123456789012",
    "1a2b3c4d-0000-0000-0000-000000000000",
    "64107",
    "2026",
    "2026-11-28T18:02:56.793410Z",
    "2026-11-28 18:02:56",
    "2026-11-28 18:02:56,793",
    "page 5, 2026-11-28",
    "28/11/2026",
    "11/28/2026",
    "28.11.2026",
    "2026/11/28",
    "1764352976123",
    "1764352976123456789",
    "1764352976.123456",
    "took 12.345678 s",
    "0:00:12.345678",
    "127.0.0.1:8000",
    "192.168.100.200:54321",
    "http://0.0.0.0:8000",
    "port 8080",
    "502 Bad Gateway",
    "HTTP/1.1 200 OK",
    "3 of 25 calls in 1200 ms",
    "version 3.11.9",
    "1234567890123456",
    "1234 5678 9012 3456",
    "arn:aws:bedrock:us-east-1:000000000000:agent/ABC",
    "/app/voice/calls.py:123 in end",
    "[100, 200, 300]",
    "",
]


def tail(text: str) -> str:
    return "".join(re.findall(r"\d", text))[-2:]


@pytest.mark.parametrize("text", PHONES.values(), ids=PHONES.keys())
def test_a_phone_number_is_hidden(text: str) -> None:
    shown = redact(text)
    assert len(re.findall(r"\d", shown)) <= 6 and "***" in shown, shown
    assert "0006"[:3] not in shown and "٠٠٠" not in shown


@pytest.mark.parametrize("text", CARDS.values(), ids=CARDS.keys())
def test_a_card_number_is_hidden(text: str) -> None:
    shown = redact(text)
    assert len(re.findall(r"\d", shown)) <= 4 and "***" in shown, shown


@pytest.mark.parametrize("text", READABLE)
def test_what_is_neither_stays_readable(text: str) -> None:
    assert redact(text) == text


def test_the_last_two_digits_and_the_words_stay() -> None:
    assert redact("from +15005550006 to +49 151 12345678.") == "from ***06 to ***78."
    assert redact("card 4111 1111 1111 1111, please") == "card ***11, please"


def test_every_id_of_sixteen_digits_that_is_no_card_is_readable() -> None:
    ids = [str(4111111111111111 + number) for number in range(200)]
    assert [redact(each) == each for each in ids] == [not luhn(each) for each in ids]


# --- values --------------------------------------------------------------------------------------------------------


class Kind(StrEnum):
    CALL = "+15005550006"


@dataclass
class Caller:
    number: str


PHONE = "+15005550006"
NESTED: dict[str, Any] = {
    "list": [PHONE],
    "tuple": (PHONE, 1),
    "set": {PHONE},
    "dict": {"from": PHONE},
    "key": {PHONE: 1},
    "deep": {"a": [{"b": ({"c": [PHONE]},)}]},
    "object": Caller(PHONE),
    "error": ValueError(PHONE),
    "bytes": PHONE.encode(),
    "enum": Kind.CALL,
    "integer": 15005550006,
    "ten digits": 5005550006,
    "card": 4111111111111111,
    "integers": [4915112345678],
    "path": PurePosixPath(f"/recordings/{PHONE}.wav"),
}
KEPT: list[Any] = [
    True,
    None,
    0,
    8000,
    64107,
    12_345_678,
    1_764_352_976,
    1_764_352_976_123,
    -3,
    0.25,
    1764352976.123456,
]


@pytest.mark.parametrize("value", NESTED.values(), ids=NESTED.keys())
def test_numbers_are_hidden_at_any_depth(logged: Callable[[], str], value: Any) -> None:
    structlog.get_logger().warning("event", value=value)
    line = logged()
    assert "***" in line and not {"5550006", "411111", "12345678"} & set(re.findall(r"5550006|411111|12345678", line))


@pytest.mark.parametrize("value", KEPT, ids=str)
def test_counts_times_and_flags_stay(logged: Callable[[], str], value: Any) -> None:
    structlog.get_logger().warning("event", value=value, values=[value])
    found = json.loads(logged())
    assert str(found["value"]) == str(value) and str(found["values"]) == str([found["value"]])


def test_other_values_are_readable() -> None:
    moment = datetime(2026, 11, 28, 18, 2, 56, 793410, UTC)
    assert redacted({"at": moment, "day": date(2026, 11, 28)}) == {"at": str(moment), "day": "2026-11-28"}
    id = UUID("12345678-1234-1234-1234-123456789012")
    assert str(id) in redacted(id) and "12.50" in redacted(Decimal("12.50"))
    assert redacted(timedelta(seconds=12.345678)) == "datetime.timedelta(seconds=12, microseconds=345678)"


def test_the_logs_of_libraries_are_redacted(logged: Callable[[], str]) -> None:
    logging.getLogger("library").warning("called %s and %s", PHONE, ["4111 1111 1111 1111"])
    assert json.loads(logged())["event"] == "called ***06 and ['***11']"


def test_the_event_and_the_timestamp(logged: Callable[[], str]) -> None:
    structlog.get_logger().warning("call from (500) 555-0006")
    line = json.loads(logged())
    assert line["event"] == "call from (***06" and datetime.fromisoformat(line["timestamp"])


def test_redaction_is_cheap() -> None:
    """Linear in the text, also in one that is made to be slow."""
    for text in ("1" * 100_000, "1 " * 50_000, "+1-" * 30_000, "1.2." * 25_000, "a" * 100_000, "-1" * 50_000):
        began = time.process_time()
        redact(text)
        assert time.process_time() - began < 2


def test_numbers_stay_numbers() -> None:
    value = {"seconds": 1.5, "on": True, "none": None, "status": 503}
    assert json.dumps(redacted(value)) == json.dumps(value)
