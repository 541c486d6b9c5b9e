"""What the human who takes over does not read: card and social security numbers, in any writing."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from app import Session
from app.escalation.record import Payload, redact
from kit import defaults

CARD, SSN = ["4111", "1111", "1111", "1111"], ["123", "45", "6789"]
SEPARATORS = ["", " ", "-", ".", "/", "\xa0", "\u202f", "\u2011", " - ", ", ", "\u200b", "·", ") ("]


@pytest.mark.parametrize("separator", SEPARATORS, ids=ascii)
def test_a_card_number_is_replaced(separator: str) -> None:
    assert redact(f"My card is {separator.join(CARD)}.") == "My card is [card number]."


@pytest.mark.parametrize("separator", SEPARATORS, ids=ascii)
def test_a_social_security_number_is_replaced(separator: str) -> None:
    assert redact(f"It is {separator.join(SSN)}.") == "It is [social security number]."


@pytest.mark.parametrize("zero", ["٠", "۰", "०", "০", "๐", "０"])  # noqa: RUF001
def test_digits_of_other_scripts_are_digits(zero: str) -> None:
    def in_script(text: str) -> str:
        return "".join(chr(ord(zero) + int(each)) if each.isdigit() else each for each in text)

    assert redact(in_script(" ".join(CARD))) == "[card number]"
    assert redact(in_script("-".join(SSN))) == "[social security number]"


@pytest.mark.parametrize(
    "text", ["order 4111 1111 1111 1112", "call 2026-11-28 18:02", "12,345 of 67,890", "000-45-6789"]
)
def test_other_numbers_stay(text: str) -> None:
    assert redact(text) == text


def test_a_long_text_is_redacted_in_time() -> None:
    began = time.process_time()
    redact("1 " * 50_000)
    redact("1" * 50_000)
    assert time.process_time() - began < 5


def test_a_summary_passes_the_filter_of_the_conversation() -> None:
    session = Session("CA1", defaults.CALLER, defaults.CALLED, "en-US", lambda: datetime.now(UTC))
    session.filtered = lambda value: value.replace("four one", "[...]")
    assert Payload.of(session, "billing", "Read out four one.").summary == "Read out [...]."
