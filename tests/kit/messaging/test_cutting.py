"""Long messages are cut between characters as people see them, and fit into a message of Twilio's."""

from __future__ import annotations

import pytest
import regex

from app.messaging.outbox import LIMIT, split, units
from app.messaging.tests.test_messaging import sent
from kit.testing import Reach

CHARACTERS = {
    "family": "👨‍👩‍👧‍👦",
    "skin": "👍🏽",
    "flag": "🇩🇪",
    "flag of tags": "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "key": "1️⃣",
    "heart": "❤️‍🔥",
    "emoji": "😀",
    "jamo": "\u1112\u1161\u11ab",
    "conjunct": "क्षि",
    "Tamil": "நி",
    "accents": "e\u0301\u0323",
    "Thai": "กำ",
    "line": "\r\n",
    "mathematics": "𝒜",
    "letter": "a",
}


def clusters(text: str) -> list[str]:
    return regex.findall(r"\X", text)


@pytest.mark.parametrize("limit", [LIMIT, 67, 20])
@pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS.keys())
def test_no_character_is_cut(character: str, limit: int) -> None:
    for before in ("", "x", "ab c"):
        text = before + character * (5000 // len(character))
        parts = split(text, limit)
        assert all(0 < len(part.encode("utf-16-le")) // 2 <= limit for part in parts)
        assert [each for part in parts for each in clusters(part) if each.strip()] == [
            each for each in clusters(text) if each.strip()
        ]


def test_all_of_them_together() -> None:
    text = " ".join("".join(CHARACTERS.values()) * count for count in range(1, 40))
    parts = split(text, 100)
    whole = [each for each in clusters(text) if each.strip()]
    assert [each for part in parts for each in clusters(part) if each.strip()] == whole
    assert max(map(units, parts)) <= 100


def test_a_sentence_ends_behind_its_mark_and_what_belongs_to_it() -> None:
    assert split("一二三四五六。\ufe00七八九十", 9)[0] in ("一二三四五六。\ufe00", "一二三四五六。\ufe00七")


def test_a_character_that_is_too_long_alone_is_cut() -> None:
    parts = split("a" + "\u0301" * 5000)
    assert "".join(parts) == "a" + "\u0301" * 5000 and max(map(units, parts)) <= LIMIT


def test_an_emoji_counts_as_two() -> None:
    assert units("a😀") == 3
    assert [len(part) for part in split("😀" * 1000)] == [800, 200]


async def test_a_long_reply_of_families_arrives_whole(reach: Reach) -> None:
    customer = await reach({"hears": "Hello", "says": "Hello."}, {"says": CHARACTERS["family"] * 700})
    await customer.texts("Hello")
    await customer.texts("Tell me everything")
    await customer.wait_for_app()
    _, *parts = sent(customer)
    assert "".join(parts) == CHARACTERS["family"] * 700 and len(parts) > 1
    assert all(set(clusters(text)) == {CHARACTERS["family"]} for text in parts)
