"""Dialing: reserved before it is dispatched, paced, and never repeated after a crash or an unclear answer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.outbound.contacts import Contact
from app.outbound.dialer import Dialer
from app.outbound.terms import Regime, Terms
from app.outbound.tests.dialing import ADA, BOB, DAY, NOON, Clock, contact, dialer
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.product import Fault

UNKNOWN_PLACE = defaults.CALLER  # +1 500 belongs to no place


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


@pytest.fixture
async def dials(clock: Clock, account: SimulatedAccount) -> AsyncGenerator[Dialer]:
    own = dialer(clock, account, database_url="sqlite://", calls_per_second=1.0)
    yield own
    await own.close()


def placed(account: SimulatedAccount) -> list[str]:
    """Who Twilio was asked to call."""
    return [request.body["To"] for request in account.calls.requests if request.method == "POST"]


async def test_a_call_is_placed_with_detection_and_our_webhooks(dials: Dialer, account: SimulatedAccount) -> None:
    result = await dials.call(contact(), "spring")
    assert result.result == "called" and result.call_sid in account.calls.records
    sent = account.calls.requests[-1].body
    assert (sent["To"], sent["From"]) == (ADA, defaults.CALLED)
    assert sent["Url"] == f"{defaults.PUBLIC_URL}/twiml" and sent["MachineDetection"] == "DetectMessageEnd"
    assert sent["StatusCallback"] == f"{defaults.PUBLIC_URL}/outbound/status" and sent["Timeout"] == "30"


@pytest.mark.parametrize(
    ("changes", "gate"),
    [
        ({}, ""),
        ({"consent": "none", "consent_at": "", "consent_how": "", "consent_wording": ""}, "consent"),
        ({"consent": "oral"}, ""),
        ({"number": UNKNOWN_PLACE}, "quiet hours"),
        ({"number": UNKNOWN_PLACE, "zone": "America/New_York"}, ""),
        ({"number": UNKNOWN_PLACE, "zone": "Asia/Tokyo"}, "quiet hours"),
        ({"inconvenient": "tue 09:00-17:00"}, "quiet hours"),
        ({"inconvenient": "mon 09:00-17:00"}, ""),
    ],
)
async def test_every_call_passes_the_gate(
    dials: Dialer, account: SimulatedAccount, changes: dict[str, Any], gate: str
) -> None:
    who = contact(**changes)
    assert (await dials.would_call(who, "spring")).gate == gate  # a dry run says the same, and writes nothing
    result = await dials.call(who, "spring")
    assert (result.gate, result.result) == (gate, "refused" if gate else "called")
    assert placed(account) == ([] if gate else [who.number])


async def test_a_dry_run_writes_nothing(dials: Dialer, account: SimulatedAccount) -> None:
    for _ in range(5):
        assert (await dials.would_call(contact(), "spring")).allowed
    assert (await dials.ledger.verify()).count == 0 and placed(account) == []


async def test_the_fourth_call_of_a_day_is_refused(dials: Dialer, clock: Clock) -> None:
    for number in range(3):
        assert (await dials.call(contact(), f"campaign {number}")).result == "called"
    assert (await dials.would_call(contact(), "campaign 4")).gate == "attempts"
    assert (await dials.call(contact(), "campaign 4")).gate == "attempts"
    clock.now += DAY
    assert (await dials.call(contact(), "campaign 4")).result == "called"


async def test_a_person_who_refuses_is_not_called_in_the_same_run(dials: Dialer, account: SimulatedAccount) -> None:
    await dials.ledger.suppress(ADA, "key 9")
    assert (await dials.call(contact(ADA), "spring")).gate == "do not call"
    assert (await dials.call(contact(BOB), "spring")).result == "called"
    assert placed(account) == [BOB]


# --- pacing ----------------------------------------------------------------------------------------------------------


async def test_calls_keep_to_the_rate_of_the_account(dials: Dialer, clock: Clock) -> None:
    for number in range(4):
        assert (await dials.call(contact(f"+121255501{number:02d}"), "spring")).result == "called"
    assert clock.now - NOON == timedelta(seconds=3)


async def test_refused_calls_take_no_time(dials: Dialer, clock: Clock) -> None:
    for number in range(4):
        await dials.call(contact(f"+121255501{number:02d}", zone="Asia/Tokyo"), "spring")
    assert clock.now == NOON


async def test_a_call_whose_turn_comes_after_hours_is_refused(dials: Dialer, clock: Clock) -> None:
    """The verdict is that of the moment at which Twilio is asked."""
    clock.now = NOON.replace(hour=1, minute=59, second=59) + DAY  # 20:59:59 in New York
    assert (await dials.call(contact(ADA), "spring")).result == "called"
    assert (await dials.call(contact("+12125550199"), "spring")).gate == "quiet hours"


# --- Twilio and crashes ----------------------------------------------------------------------------------------------


async def test_a_call_that_twilio_refuses_does_not_count(dials: Dialer, account: SimulatedAccount) -> None:
    account.calls.fault = Fault(status=400, times=1)
    failed = await dials.call(contact(), "spring")
    assert failed.result == "failed" and "400" in failed.reason
    assert (await dials.call(contact(), "spring")).result == "called"
    assert (await dials.ledger.verify()).problems == []


async def test_an_unclear_answer_counts_as_a_call(dials: Dialer, account: SimulatedAccount, logged: Any) -> None:
    account.calls.fault = Fault(status=503, times=1)
    assert (await dials.call(contact(), "spring")).result == "unclear"
    again = await dials.call(contact(), "spring")
    assert again.gate == "once" and "no known outcome" in again.reason
    assert len(placed(account)) == 1 and "2125550123" not in logged()


async def test_an_outcome_is_known_by_number_and_call(dials: Dialer) -> None:
    sid = (await dials.call(contact(), "spring")).call_sid
    assert not await dials.ledger.record_outcome(ADA, "CA" + "0" * 32, "answered")
    assert not await dials.ledger.record_outcome(BOB, sid, "answered")
    assert await dials.ledger.record_outcome(ADA, sid, "busy") and await dials.ledger.record_outcome(ADA, sid, "busy")
    assert (await dials.would_call(contact(), "spring")).reason == "called in this campaign"
    assert (await dials.ledger.verify()).problems == []


CRASHING = """
import asyncio, os, sys
from app.outbound.tests.dialing import Clock, contact, dialer

async def crash(contact, number):
    os._exit(7)  # between the reservation and the call

async def main(url):
    own = dialer(Clock(), database_url=url)
    own._place = crash
    await own.call(contact(), "spring")

asyncio.run(main(sys.argv[1]))
"""


def test_a_crash_between_reservation_and_call_repeats_no_call(tmp_path: Path) -> None:

    url, clock, account = f"sqlite:///{tmp_path}/agent.db", Clock(), SimulatedAccount()
    assert subprocess.run([sys.executable, "-c", CRASHING, url], timeout=60).returncode == 7

    async def again() -> None:
        own = dialer(clock, account, database_url=url)
        first, second = await own.call(contact(ADA), "spring"), await own.call(contact(BOB), "spring")
        assert first.gate == "once" and "no known outcome" in first.reason
        assert second.result == "called" and placed(account) == [BOB]
        assert (await own.ledger.verify()).problems == []
        await own.close()

    asyncio.run(again())


# --- regulations -----------------------------------------------------------------------------------------------------


class Strict(Regime):
    @classmethod
    def build(cls, services: Any) -> Strict:
        return cls()

    async def tighten(self, contact: Contact, terms: Terms) -> Terms:
        if contact.id == "broken":
            raise OSError("+12125550123")
        return terms.with_consent("written")


async def test_a_regulation_tightens_the_terms_and_what_it_cannot_find_out_denies(dials: Dialer, logged: Any) -> None:
    dials.regimes = [Strict()]
    assert (await dials.call(contact(consent="oral"), "spring")).gate == "consent"
    for say in (dials.would_call, dials.call):
        found: Any = await say(contact(id="broken"), "spring")
        assert found.gate == "terms" and "OSError" in found.reason
    assert "2125550123" not in logged()
    assert (await dials.call(contact(), "spring")).result == "called"
