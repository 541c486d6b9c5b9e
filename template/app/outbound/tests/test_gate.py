"""The gate: for each rule a call that it denies, and the nearest one that it allows. The clock is that of the test."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.outbound.gate import Cap, Facts, Hours, Past, judge
from app.outbound.places import state_of, zones_of
from app.outbound.states import STATES
from app.outbound.terms import DAYTIME
from app.outbound.tests.dialing import DAY, NOON, local

CHICAGO, KOLKATA, ST_JOHNS = "America/Chicago", "Asia/Kolkata", "America/St_Johns"


def facts(at: datetime = NOON, past: dict[str, Any] | None = None, **changes: Any) -> Facts:
    """A call that is allowed, with changes."""
    given: dict[str, Any] = {"purpose": "information", "zones": (CHICAGO,), "hours": ((DAYTIME,),), **changes}
    return Facts(at=at, past=Past(**{"consent": "written", **(past or {})}), **given)


def gate_of(given: Facts) -> str:
    return judge(given).gate


def test_a_call_with_consent_at_noon_is_allowed() -> None:
    assert judge(facts()) == (True, "", "")


def test_facts_are_json_and_back() -> None:
    given = facts(past={"calls": (NOON - DAY,)}, caps=(Cap(calls=3, hours=24),), inconvenient=(DAYTIME,))
    assert Facts.model_validate_json(given.model_dump_json()) == given


# --- consent ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has", "needs", "gate"),
    [
        ("none", "oral", "consent"),
        ("oral", "oral", ""),
        ("oral", "written", "consent"),
        ("written", "written", ""),
        ("written", "oral", ""),
    ],
)
def test_a_consent_must_be_of_the_tier_that_is_needed(has: str, needs: str, gate: str) -> None:
    assert gate_of(facts(past={"consent": has}, required=needs)) == gate


def test_a_campaign_calls_a_person_once() -> None:
    assert gate_of(facts(past={"called_in_campaign": True})) == "once"
    unclear = judge(facts(past={"called_in_campaign": True, "unclear": True}))
    assert unclear.gate == "once" and "no known outcome" in unclear.reason


# --- do not call -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({"refused": "key 9"}, "do not call"),
        ({"refused": None}, ""),
        ({"listed": True, "list_age": 1, "max_list_age": 31}, "do not call"),
        ({"listed": False, "list_age": 31, "max_list_age": 31}, ""),
        ({"listed": False, "list_age": 32, "max_list_age": 31}, "do not call"),
        ({"listed": False, "list_age": -1, "max_list_age": 31}, "do not call"),  # a day that has not come yet
        ({"listed": None, "list_age": 1, "max_list_age": 31}, "do not call"),
        ({"listed": False, "list_age": None, "max_list_age": 31}, "do not call"),
        ({"listed": False, "list_age": None, "max_list_age": None}, ""),
        ({"reassigned": True}, "do not call"),
        ({"reassigned": None}, "do not call"),
        ({"reassigned": False}, ""),
    ],
)
def test_who_does_not_want_calls_gets_none(changes: dict[str, Any], gate: str) -> None:
    assert gate_of(facts(**changes)) == gate


# --- quiet hours -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "moment", "gate"),
    [
        (CHICAGO, (2026, 3, 3, 7, 59), "quiet hours"),
        (CHICAGO, (2026, 3, 3, 8, 0), ""),
        (CHICAGO, (2026, 3, 3, 20, 59), ""),
        (CHICAGO, (2026, 3, 3, 21, 0), "quiet hours"),
        # Daylight saving begins on 2026-03-08 and ends on 2026-11-01 in Chicago.
        (CHICAGO, (2026, 3, 8, 7, 59), "quiet hours"),
        (CHICAGO, (2026, 3, 8, 8, 0), ""),
        (CHICAGO, (2026, 11, 1, 7, 59), "quiet hours"),
        (CHICAGO, (2026, 11, 1, 20, 59), ""),
        # Zones of half an hour.
        (KOLKATA, (2026, 3, 3, 7, 59), "quiet hours"),
        (KOLKATA, (2026, 3, 3, 8, 0), ""),
        (ST_JOHNS, (2026, 3, 3, 20, 59), ""),
        (ST_JOHNS, (2026, 3, 3, 21, 0), "quiet hours"),
    ],
)
def test_people_are_called_in_their_daytime(zone: str, moment: tuple[int, ...], gate: str) -> None:
    assert gate_of(facts(local(zone, *moment), zones=(zone,))) == gate


def test_the_same_utc_time_is_quiet_before_daylight_saving_and_not_after_it() -> None:
    """13:30 UTC is 07:30 in Chicago's winter, and 08:30 in its summer."""
    saturday = datetime(2026, 3, 7, 13, 30, tzinfo=UTC)
    assert gate_of(facts(saturday)) == "quiet hours" and gate_of(facts(saturday + DAY)) == ""


def test_every_candidate_zone_must_allow_the_call() -> None:
    at = local("America/New_York", 2026, 3, 3, 20, 30)  # 17:30 in Los Angeles
    assert gate_of(facts(at, zones=("America/Los_Angeles", "America/New_York"))) == ""
    assert gate_of(facts(at + timedelta(hours=1), zones=("America/Los_Angeles", "America/New_York"))) == "quiet hours"


def test_an_unknown_zone_denies_the_call() -> None:
    verdict = judge(facts(zones=()))
    assert verdict.gate == "quiet hours" and "zone" in verdict.reason


def test_the_hours_of_every_rule_count() -> None:
    strict = Hours(start=time(9), end=time(21), days=(0, 1, 2, 3, 4, 5)), Hours(start=time(12), end=time(21), days=(6,))
    sunday = local(CHICAGO, 2026, 3, 8, 11, 0)
    assert gate_of(facts(sunday)) == ""
    assert gate_of(facts(sunday, hours=((DAYTIME,), strict))) == "quiet hours"
    assert gate_of(facts(sunday + timedelta(hours=1), hours=((DAYTIME,), strict))) == ""
    assert gate_of(facts(local(CHICAGO, 2026, 3, 7, 11, 0), hours=((DAYTIME,), strict))) == ""


def test_a_time_that_the_person_has_asked_to_leave_out_is_left_out() -> None:
    at_work = (Hours(start=time(9), end=time(17), days=(0, 1, 2, 3, 4)),)
    assert gate_of(facts(inconvenient=at_work)) == "quiet hours"
    assert gate_of(facts(local(CHICAGO, 2026, 3, 3, 17, 0), inconvenient=at_work)) == ""
    assert gate_of(facts(local(CHICAGO, 2026, 3, 7, 12, 0), inconvenient=at_work)) == ""


@pytest.mark.parametrize(
    ("number", "zones", "state"),
    [
        ("+12125550123", {"America/New_York"}, "NY"),
        ("+14235550123", {"America/New_York", "America/Chicago"}, "TN"),  # Tennessee has two
        ("+18505550123", {"America/New_York", "America/Chicago"}, "FL"),
        ("+12085550123", {"America/Boise", "America/Los_Angeles"}, "ID"),
        ("+17095550123", {"America/Halifax", "America/St_Johns"}, None),  # Newfoundland and Labrador
        ("+919812345678", {"Asia/Calcutta"}, None),
        ("+15005550006", set(), None),  # of no place
        ("+18005550123", set(), None),
        ("+882161234567", set(), None),
    ],
)
def test_a_number_says_where_its_owner_may_be(number: str, zones: set[str], state: str | None) -> None:
    assert set(zones_of(number)) == zones
    assert state_of(number) == state


def test_the_table_of_states_has_each_area_code_once() -> None:
    areas = [area for row in STATES.values() for area in row.areas.split()]
    assert len(areas) == len(set(areas)) and len(STATES) == 51
    assert all(ZoneInfo(zone) for row in STATES.values() for zone in row.zones)


# --- attempts --------------------------------------------------------------------------------------------------------

THREE_A_DAY = (Cap(calls=3, hours=24),)
SEVEN_IN_SEVEN = (Cap(calls=7, days=7, each="debt"),)


def test_the_fourth_call_in_24_hours_is_denied() -> None:
    calls = tuple(NOON - timedelta(hours=hours) for hours in (1, 2, 23))
    assert gate_of(facts(past={"calls": calls}, caps=THREE_A_DAY)) == "attempts"
    assert gate_of(facts(past={"calls": calls[:2]}, caps=THREE_A_DAY)) == ""
    assert gate_of(facts(past={"calls": (*calls[:2], NOON - DAY)}, caps=THREE_A_DAY)) == ""


def test_the_eighth_call_about_a_debt_in_seven_days_is_denied() -> None:
    calls = tuple(NOON - number * timedelta(hours=22) for number in range(1, 8))
    assert gate_of(facts(past={"debt_calls": calls}, caps=SEVEN_IN_SEVEN)) == "attempts"
    assert gate_of(facts(past={"debt_calls": calls[:6]}, caps=SEVEN_IN_SEVEN)) == ""
    assert gate_of(facts(past={"calls": calls}, caps=SEVEN_IN_SEVEN)) == ""  # about other debts


def test_seven_days_are_days_of_the_persons_calendar() -> None:
    """Called at 20:30 on the first day, the call of the eighth day is a new week, also in the morning."""
    first = local(CHICAGO, 2026, 3, 2, 20, 30)
    calls = (first,) * 7
    assert (
        gate_of(facts(local(CHICAGO, 2026, 3, 8, 20, 0), past={"debt_calls": calls}, caps=SEVEN_IN_SEVEN)) == "attempts"
    )
    assert gate_of(facts(local(CHICAGO, 2026, 3, 9, 8, 30), past={"debt_calls": calls}, caps=SEVEN_IN_SEVEN)) == ""


def test_the_day_of_a_conversation_is_the_first_of_seven() -> None:
    spoke = {"conversations": (local(CHICAGO, 2026, 3, 2, 20, 30),)}
    for day, gate in ((2, "attempts"), (3, "attempts"), (8, "attempts"), (9, "")):
        at = local(CHICAGO, 2026, 3, day, 20, 45)
        assert gate_of(facts(at, past=spoke, days_after_conversation=7)) == gate, day
    assert gate_of(facts(local(CHICAGO, 2026, 3, 3, 12, 0), past=spoke)) == ""  # where no rule asks for it
