"""Card numbers are neither saved in memory nor recalled from it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app import Session
from app.log import without_cards
from app.memory import render_memories
from app.memory.backend import Item, Memories
from app.memory.tests.test_memory import ADA, DictBackend
from kit import defaults

CARDS = ["4111 1111 1111 1111", "378282246310005", "5555-5555.5555/4444", "４１１１１１１１１１１１１１１１"]  # noqa: RUF001


@pytest.mark.parametrize("card", CARDS)
async def test_a_card_number_is_not_saved(card: str) -> None:
    backend = DictBackend()
    memory = backend.capability()(backend, defaults.settings())  # type: ignore[arg-type]
    session = Session("CA1", ADA, defaults.CALLED, "en-US", lambda: datetime.now(UTC))
    remember = next(tool for tool in memory.tools(session) if tool.__name__ == "remember")
    await remember(f"Pays with {card}, likes tea.")
    await memory.actions(session)["save_summary"](f"They read out {card}.")
    saved = f"{backend.observations} {backend.summaries}"
    assert "Pays with [card number], likes tea." in saved and "They read out [card number]." in saved


@pytest.mark.parametrize("card", CARDS)
def test_a_card_number_that_twilio_has_extracted_is_not_recalled(card: str) -> None:
    memories = Memories({"card": card}, [Item(f"Pays with {card}.")], [Item(card)])
    assert render_memories(memories).count("[card number]") == 3 and card not in render_memories(memories)


@pytest.mark.parametrize(
    "text",
    [
        "order 4111 1111 1111 1112",
        "call back at +4917612345678",
        "call back at +49 176 1234 5678",
        "since 1764352976123",
        "2026-11-28 18:02",
        "room 12, floor 3",
    ],
)
def test_other_numbers_are_remembered(text: str) -> None:
    assert without_cards(text) == text and text in render_memories(Memories({}, [Item(text)]))


def test_a_phone_number_with_a_check_digit_by_chance_stays() -> None:
    assert without_cards("4539578763621486") == "[card number]"
    for number in range(200):
        phone = f"+49{15112345600 + number}"
        assert without_cards(phone) == phone
