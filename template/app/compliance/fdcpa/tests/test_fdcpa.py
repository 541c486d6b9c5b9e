"""Regulation F: seven calls in seven days for each debt, and none in the seven days after a conversation."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from app.outbound.dialer import Dialer
from app.outbound.ledger import Entry, Ledger
from app.outbound.tests.dialing import ADA, BOB, DAY, NOON, Clock, contact, dialer

NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def dials(clock: Clock) -> AsyncGenerator[Dialer]:
    own = dialer(clock, database_url="sqlite://")
    yield own
    await own.close()


async def gate(dials: Dialer, number: str = ADA, debt: str = "loan", campaign: str = "next") -> str:
    return (await dials.would_call(contact(number, purpose="debt", debt=debt), campaign)).gate


async def kinds(ledger: Ledger) -> list[str]:
    async with ledger.database.begin() as database:
        return [json.loads(body)["kind"] for body in (await database.execute(select(Entry.body))).scalars()]


async def seven_calls(dials: Dialer, clock: Clock, number: str = ADA) -> None:
    """One a day at noon."""
    for day in range(7):
        result = await dials.call(contact(number, purpose="debt", debt="loan"), f"day {day}")
        assert result.result == "called", result
        clock.now += DAY if day < 6 else timedelta(hours=1)


async def test_the_eighth_call_about_a_debt_is_denied(dials: Dialer, clock: Clock) -> None:
    await seven_calls(dials, clock)
    assert await gate(dials) == "attempts"
    assert await gate(dials, debt="another loan") == "" and await gate(dials, BOB) == ""
    clock.now = NOON + 7 * DAY  # the first one is seven days ago
    assert await gate(dials) == ""


async def test_calls_for_information_do_not_count_to_the_seven(dials: Dialer, clock: Clock) -> None:
    await seven_calls(dials, clock)
    assert (await dials.would_call(contact(purpose="information"), "news")).gate == ""


@pytest.mark.parametrize(("days", "expected"), [(0, "attempts"), (1, "attempts"), (6, "attempts"), (7, "")])
async def test_no_call_in_the_seven_days_after_a_conversation(
    dials: Dialer, clock: Clock, days: int, expected: str
) -> None:
    call = await dials.call(contact(purpose="debt", debt="loan"), "spring")
    await dials.ledger.record_conversation(ADA, call.call_sid, began=True)
    clock.now += days * DAY
    assert await gate(dials) == expected
    assert await gate(dials, debt="another loan") == ""  # it was not spoken of
    assert (await dials.ledger.verify()).problems == []


async def test_the_day_of_a_conversation_is_one_of_the_persons_calendar(dials: Dialer, clock: Clock) -> None:
    """A conversation at 20:59 on the 2nd: the 9th at 8:00 is the eighth day, with daylight saving in between."""
    clock.now = datetime(2026, 3, 2, 20, 59, tzinfo=NEW_YORK).astimezone(UTC)
    await dials.ledger.record_conversation(ADA, "CA1", began=False)
    for day, hour, expected in ((8, 20, "attempts"), (9, 8, "")):
        clock.now = datetime(2026, 3, day, hour, tzinfo=NEW_YORK).astimezone(UTC)
        assert await gate(dials) == expected


async def test_a_conversation_that_the_person_began_counts_for_every_debt(dials: Dialer) -> None:
    await dials.ledger.record_conversation(ADA, "CA1", began=False)
    assert await gate(dials) == "attempts" and await gate(dials, debt="another loan") == "attempts"
    assert await gate(dials, BOB) == ""


async def test_a_call_that_the_ledger_does_not_know_counts_for_every_debt(dials: Dialer) -> None:
    await dials.ledger.record_conversation(ADA, "CA1", began=True)
    assert await gate(dials) == "attempts"


async def test_a_conversation_for_information_is_none_about_a_debt(dials: Dialer) -> None:
    call = await dials.call(contact(purpose="information"), "news")
    await dials.ledger.record_conversation(ADA, call.call_sid, began=True)
    assert await gate(dials) == "" and "conversation" not in await kinds(dials.ledger)


async def test_a_notice_is_in_the_chain_without_its_words(dials: Dialer) -> None:
    await dials.ledger.record_notice(ADA, "CA1", "This is an attempt to collect a debt.")
    assert await kinds(dials.ledger) == ["notice"]
    assert (await dials.ledger.verify()).problems == []
    async with dials.ledger.database.begin() as database:
        bodies: Any = (await database.execute(select(Entry.body))).scalars().all()
    assert "collect" not in str(bodies) and "CA1" not in str(bodies)
