"""What goes to the human is of bounded size."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from app.escalation.record import MAX_SUMMARY, Hints, Payload, to_code


@pytest.mark.parametrize("name", ["conversation_id", "profile_id"])
def test_an_id_that_is_too_long_is_none_of_twilios(name: str) -> None:
    assert Payload.model_validate({"reason_code": "asked", name: "x" * 64})
    with pytest.raises(ValidationError):
        Payload.model_validate({"reason_code": "asked", name: "x" * 65})


def test_a_long_summary_is_shortened() -> None:
    payload = Payload.model_validate({"reason_code": "asked", "summary": "word " * MAX_SUMMARY})
    assert len(payload.summary) <= MAX_SUMMARY and payload.summary.startswith("word word")


@pytest.mark.parametrize(
    "hints",
    [
        {"skills": ["billing"] * 9},
        {"skills": ["x" * 65]},
        {"skills": [""]},
        {"language": "x" * 17},
        {"priority": -1},
        {"priority": 1001},
        {"team": "billing"},
    ],
)
def test_a_hint_that_no_worker_is_chosen_by_is_refused(hints: dict[str, Any]) -> None:
    assert Hints.model_validate({"skills": ["x" * 64] * 8, "language": "x" * 16, "priority": 1000, "vip": True})
    with pytest.raises(ValidationError):
        Hints.model_validate(hints)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("Falling sentiment!", "falling_sentiment"),
        ("", "unspecified"),
        (None, "none"),
        ("x" * 70, "x" * 64),
        ("4111 1111 1111 1111", "card_number"),
    ],
)
def test_a_reason_is_a_word_that_can_be_compared(reason: Any, code: str) -> None:
    assert to_code(reason) == code
