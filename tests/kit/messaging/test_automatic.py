"""Two automatic senders that answer each other: the agent stops, says so once, and answers a person again."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.messaging.automatic import are_alike
from app.messaging.tests.test_messaging import sent
from app.messaging.tests.test_opt_out import Model, writes
from kit.testing import Reach

OUT_OF_OFFICE = "Thank you for your message. I am out of the office until Monday."
ALIKE: dict[str, Callable[[int], str]] = {
    "the same text": lambda number: OUT_OF_OFFICE,
    "numbers": lambda number: f"Your ticket {1000 + 7 * number} was received at 10:{number:02}.",
    "signs and case": lambda number: OUT_OF_OFFICE.upper() + "!" * number,
    "a name": lambda number: f"{OUT_OF_OFFICE} {['Ada', 'Bob', 'Eve'][number % 3]}",
    "spaces": lambda number: OUT_OF_OFFICE.replace(" ", " " * (1 + number % 3)),
    "emoji": lambda number: OUT_OF_OFFICE + "🙂" * (number % 4),
    "another script": lambda number: "ご連絡ありがとうございます。担当者は月曜日まで不在にしております。",
}


@pytest.mark.parametrize("channel", ["SMS", "CHAT"])
@pytest.mark.parametrize("text", ALIKE.values(), ids=ALIKE.keys())
async def test_forty_texts_that_are_alike_have_five_answers(
    reach: Reach, text: Callable[[int], str], channel: str, logged: Callable[[], str]
) -> None:
    model = Model()
    customer = await reach(models=model.models, channel=channel, **({"author": "bot-1"} if channel == "CHAT" else {}))
    await writes(customer, *(text(number) for number in range(40)))
    assert len(sent(customer)) == len(model.seen) == 5
    assert customer.messaging.counts["automatic"] == 35 and customer.messaging.counts["failed"] == 0
    lines = [json.loads(line) for line in logged().splitlines() if line.startswith("{")]
    assert [line["reason"] for line in lines if line["event"] == "text.automatic_sender"] == ["alike"] * 35
    assert [line["flag"] for line in lines if line["event"] == "flag.set"] == ["automatic_sender"]
    assert len([line for line in lines if line["event"] == "alert"]) == 1
    assert "office" not in logged()


async def test_a_person_who_writes_something_else_is_answered_again(reach: Reach) -> None:
    customer = await reach()
    await writes(customer, *[OUT_OF_OFFICE] * 8, "I am back. Where is my order?", OUT_OF_OFFICE)
    assert len(sent(customer)) == 7


async def test_a_person_may_say_yes_more_often(reach: Reach) -> None:
    customer = await reach()
    await writes(customer, *["Yes"] * 12, "Hello?")
    assert len(sent(customer)) == 11


async def test_messages_that_follow_each_other_too_fast_are_left(reach: Reach, logged: Callable[[], str]) -> None:
    ahead = [0]
    customer = await reach(text_limit=6, now=lambda: datetime.now(UTC) + timedelta(seconds=sum(ahead)))
    topics = ["apples", "trains", "rivers", "music", "winter", "bridges", "paper", "clouds"]
    texts = [f"{topic} are what I ask about" for topic in topics]
    await writes(customer, *texts)
    assert len(sent(customer)) == 6 and '"many"' in logged()
    ahead.append(601)
    await writes(customer, "Something else now")
    assert len(sent(customer)) == 7


@pytest.mark.parametrize(("setting", "answers"), [({"text_repeats": 2}, 2), ({"text_repeats": 0, "text_limit": 0}, 40)])
async def test_the_limits_are_settings(reach: Reach, setting: dict[str, Any], answers: int) -> None:
    customer = await reach(**setting)
    await writes(customer, *[OUT_OF_OFFICE] * 40)
    assert len(sent(customer)) == answers


async def test_pictures_without_end_are_left_too(reach: Reach) -> None:
    customer = await reach()
    for _ in range(20):
        await customer.posts(customer.writes(None))
        await customer.wait_for_app()
    assert len(sent(customer)) == 10


async def test_another_conversation_is_not_concerned(reach: Reach) -> None:
    customer = await reach()
    await writes(customer, *[OUT_OF_OFFICE] * 8)
    await customer.closes()
    assert await customer.texts("Hello") == "Yes."


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("", "", True),
        ("yes", "no", False),
        ("yes", "yes", True),
        ("i would like to order two large pizzas", "i would like to order two small pizzas", False),
        ("where is my order", "what are your opening hours on sunday", False),
        ("x" * 300, "y" * 300, False),
        ("hello", None, False),
    ],
)
def test_texts_are_compared_as_wholes(one: str, other: str | None, alike: bool) -> None:
    assert are_alike(one, other) is alike


BLANK = ["\u200b", "\u200c\u200d", " \u200e\u200f ", "\ufeff", "\u3164", "\u2800", " \n ", "\u00ad\u2060", "\ufe0f"]


@pytest.mark.parametrize("text", BLANK, ids=ascii)
async def test_a_text_of_which_nothing_can_be_seen_has_no_answer(reach: Reach, text: str) -> None:
    model = Model()
    customer = await reach(models=model.models)
    await writes(customer, text)
    assert (model.seen, sent(customer)) == ([], [])
    assert await customer.texts("Hello") == "Answer 1."


@pytest.mark.parametrize("text", ["?", "...", "👍🏽", "1", "क", "❤️", "!"])
async def test_the_shortest_text_that_can_be_seen_has_one(reach: Reach, text: str) -> None:
    customer = await reach()
    assert await customer.texts(text) == "Yes."
