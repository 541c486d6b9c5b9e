"""TCPA: consent by purpose, hours and caps of states, do-not-call lists with an age, and numbers with another owner."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.compliance.tcpa import hours_of
from app.compliance.tcpa.hours import HOURS
from app.compliance.tcpa.lists import DoNotCallList, number_in
from app.outbound.dialer import Dialer
from app.outbound.phrases import phrases
from app.outbound.states import STATES
from app.outbound.tests.dialing import ADA, Clock, contact, dialer, local
from kit import defaults

TODAY = "2026-03-03"
FLORIDA, TEXAS, OKLAHOMA, MARYLAND, ALABAMA, OHIO = (
    f"+1{area}5550123" for area in ("305", "214", "405", "410", "205", "216")
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., Path]:
    def write(*numbers: str, as_of: str = TODAY) -> Path:
        path = tmp_path / "do-not-call.txt"
        path.write_text("\n".join([f"# as of {as_of}", *numbers]) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
async def dials(clock: Clock, listed: Callable[..., Path]) -> AsyncGenerator[Dialer]:
    own = dialer(clock, database_url="sqlite://", do_not_call_file=listed("2129990000"))
    yield own
    await own.close()


async def gate(dials: Dialer, number: str = ADA, **changes: Any) -> str:
    return (await dials.would_call(contact(number, **{"purpose": "telemarketing", **changes}), "spring")).gate


# --- consent ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("purpose", "tier", "expected"),
    [
        ("telemarketing", "written", ""),
        ("telemarketing", "oral", "consent"),
        ("information", "oral", ""),
    ],
)
async def test_what_sells_needs_a_written_consent(dials: Dialer, purpose: str, tier: str, expected: str) -> None:
    assert await gate(dials, purpose=purpose, consent=tier) == expected


# --- lists -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["+12125550123", "2125550123", "212,5550123", "(212) 555-0123  # Ada"])
async def test_a_person_on_a_list_is_not_called(clock: Clock, listed: Callable[..., Path], line: str) -> None:
    own = dialer(clock, database_url="sqlite://", do_not_call_file=listed("2129990000", "", line))
    assert await gate(own) == "do not call"
    assert await gate(own, "+12125550124") == ""
    assert await gate(own, purpose="information") == ""
    await own.close()


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [(TODAY, ""), ("2026-01-31", ""), ("2026-01-30", "do not call"), ("2026-03-05", "do not call")],
)
async def test_a_list_is_at_most_31_days_old(
    clock: Clock, listed: Callable[..., Path], as_of: str, expected: str
) -> None:
    own = dialer(clock, database_url="sqlite://", do_not_call_file=listed(as_of=as_of))
    assert await gate(own) == expected
    await own.close()


async def test_without_a_list_nothing_is_sold(clock: Clock, tmp_path: Path) -> None:
    undated, broken = tmp_path / "undated.txt", tmp_path / "broken.txt"
    undated.write_text("2129990000\n", encoding="utf-8")
    broken.write_text(f"# as of {TODAY}\n2129990000\n<html>\n", encoding="utf-8")
    for path in (None, tmp_path / "missing.txt", undated, broken):
        own = dialer(clock, database_url="sqlite://", do_not_call_file=path)
        assert await gate(own) == "do not call", path
        assert await gate(own, purpose="information") == ""
        await own.close()


def test_a_list_that_has_changed_is_read_again(listed: Callable[..., Path]) -> None:
    kept = DoNotCallList(listed("2129990000"))
    assert kept.has(ADA) is False
    listed("2129990000", "2125550123")
    assert kept.has(ADA) is True
    listed("nonsense", "2125550123")
    assert kept.has(ADA) is None and kept.age(datetime(2026, 3, 3, tzinfo=UTC)) is None


def test_lines_of_a_list() -> None:
    assert (number_in("212,5550123"), number_in("+442083612345"), number_in(" # remark")) == (
        12125550123,
        442083612345,
        None,
    )


# --- states ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "zone", "moment", "expected"),
    [
        (FLORIDA, "America/New_York", (2026, 3, 3, 20, 0), "quiet hours"),
        (FLORIDA, "America/New_York", (2026, 3, 3, 19, 59), ""),
        (OKLAHOMA, "America/Chicago", (2026, 3, 3, 20, 0), "quiet hours"),
        (OKLAHOMA, "America/Chicago", (2026, 3, 3, 19, 59), ""),
        (MARYLAND, "America/New_York", (2026, 3, 3, 20, 0), "quiet hours"),
        (TEXAS, "America/Chicago", (2026, 3, 3, 9, 0), "quiet hours"),  # 8:00 in El Paso
        (TEXAS, "America/Chicago", (2026, 3, 3, 10, 0), ""),
        (TEXAS, "America/Chicago", (2026, 3, 8, 12, 30), "quiet hours"),  # Sunday
        (TEXAS, "America/Chicago", (2026, 3, 8, 13, 0), ""),
        (ALABAMA, "America/Chicago", (2026, 3, 8, 12, 0), "quiet hours"),  # no calls on Sundays
        (ALABAMA, "America/Chicago", (2026, 3, 7, 12, 0), ""),
        (OHIO, "America/New_York", (2026, 3, 3, 20, 30), ""),  # no row
    ],
)
async def test_the_hours_of_a_state(
    dials: Dialer, clock: Clock, number: str, zone: str, moment: tuple[int, ...], expected: str
) -> None:
    clock.now = local(zone, *moment)
    assert await gate(dials, number) == expected


async def test_the_strictest_of_the_stored_state_and_of_the_number_counts(dials: Dialer, clock: Clock) -> None:
    clock.now = local("America/New_York", 2026, 3, 3, 20, 30)
    moved = {"zone": "America/New_York", "state": "OH"}
    assert await gate(dials, OHIO, **moved) == "" and await gate(dials, MARYLAND, **moved) == "quiet hours"
    assert await gate(dials, OHIO, zone="America/New_York", state="MD") == "quiet hours"


async def test_florida_presumes_the_zone_of_the_area_code(dials: Dialer, clock: Clock) -> None:
    """17:30 in Los Angeles, where the person lives, is 20:30 in Miami."""
    clock.now = local("America/Los_Angeles", 2026, 3, 3, 17, 30)
    assert await gate(dials, FLORIDA, zone="America/Los_Angeles") == "quiet hours"
    assert await gate(dials, OHIO, zone="America/Los_Angeles") == ""


async def test_three_calls_in_24_hours_where_a_state_says_so(clock: Clock, listed: Callable[..., Path]) -> None:
    own = dialer(clock, database_url="sqlite://", do_not_call_file=listed(), calls_per_day=10)
    for number, fourth in ((FLORIDA, "attempts"), (OHIO, "")):
        for campaign in ("one", "two", "three"):
            assert (await own.call(contact(number, purpose="telemarketing"), campaign)).result == "called"
        assert await gate(own, number) == fourth
    await own.close()


def test_the_table_can_be_read() -> None:
    assert HOURS.keys() <= STATES.keys() and len(HOURS) > 15
    for state, row in HOURS.items():
        assert row.source in ("guide", "both", "dropcowboy", "usestello") and hours_of(row), state


# --- numbers with another owner --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("says", "expected"), [(False, ""), (True, "do not call"), (None, "do not call"), (OSError, "terms")]
)
async def test_a_number_that_may_have_another_owner_is_not_called(
    dials: Dialer, monkeypatch: pytest.MonkeyPatch, says: Any, expected: str
) -> None:
    asked: list[Any] = []

    async def is_reassigned(number: str, since: datetime | None) -> Any:
        asked.append((number, since))
        if says is OSError:
            raise OSError(number)
        return says

    monkeypatch.setattr(phrases.own, "is_reassigned", is_reassigned, raising=False)
    assert await gate(dials) == expected
    assert asked == [(ADA, datetime(2026, 1, 2, 10, tzinfo=UTC))]


# --- answering machines ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["+18005550123", "+18885550123"])
def test_a_toll_free_number_is_left(number: str) -> None:
    assert defaults.settings(callback_number=number)


@pytest.mark.parametrize("number", ["+12125550123", "+18995550123", None])
def test_another_number_keeps_the_server_from_starting(number: str | None) -> None:
    with pytest.raises(ValueError, match="callback_number"):
        defaults.settings(callback_number=number)
