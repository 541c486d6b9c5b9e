"""The ledger, on SQLite and PostgreSQL: it proves its verdicts, keeps no number, and two dialers take turns."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from app import config
from app.outbound.dialer import LEDGER, Dialer
from app.outbound.ledger import FIRST, Entry, Head, Ledger, Subject, Suppression, unfit_database
from app.outbound.tests.dialing import ADA, BOB, DAY, Clock, contact, dialer, empty
from app.registry import STORE
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount

pytest_plugins = ["app.database.tests.servers"]

OTHER_KEY = "another-ledger-key-of-32-characters"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def dials(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> AsyncGenerator[Dialer]:
    """On SQLite; in a test with `url` on PostgreSQL too."""
    file = f"sqlite:///{tmp_path}/agent.db"
    url = request.getfixturevalue("url") if "url" in request.fixturenames else file
    own = dialer(clock, database_url=await empty(url))
    yield own
    await own.close()


async def called_and_refused(dials: Dialer) -> None:
    """Ada is called, Bob is not, and each outcome is known."""
    result = await dials.call(contact(ADA), "spring")
    assert result.result == "called", result
    assert await dials.ledger.record_outcome(ADA, result.call_sid, "answered")
    assert (await dials.call(contact(BOB, consent="none", consent_at="", consent_how="", consent_wording=""), "x")).gate


async def problems(ledger: Ledger) -> list[str]:
    return (await ledger.verify()).problems


async def rows(ledger: Ledger, table: Any) -> list[Any]:
    async with ledger.database.begin() as database:
        return list((await database.execute(select(table))).all())


async def write(ledger: Ledger, *statements: Any) -> None:
    async with ledger.database.begin() as database:
        for each in statements:
            await database.execute(each)


async def forge(ledger: Ledger, number: int, **changes: Any) -> None:
    """Change an entry, and make every later link of the chain right again: the forger has the key."""
    before, statements = FIRST, []
    for entry in await rows(ledger, Entry):
        body = entry.body
        if entry.number == number:
            body = json.dumps({**json.loads(body), **changes}, sort_keys=True, separators=(",", ":"))
        before = ledger.mac(before, body)
        statements.append(update(Entry).where(Entry.number == entry.number).values(body=body, mac=before))
    await write(ledger, *statements, update(Head).values(mac=before))


async def number_of(ledger: Ledger, kind: str, **fields: Any) -> int:
    """The first entry of a kind."""
    bodies = [json.loads(entry.body) for entry in await rows(ledger, Entry)]
    return next(body["number"] for body in bodies if body["kind"] == kind and fields.items() <= body.items())


# --- verification ----------------------------------------------------------------------------------------------------


async def test_a_ledger_proves_itself(dials: Dialer, url: str) -> None:
    await called_and_refused(dials)
    found = await dials.ledger.verify()
    assert (found.problems, found.verdicts) == ([], 2) and found.count >= 5


async def test_an_empty_ledger_has_no_problem(dials: Dialer) -> None:
    assert await problems(dials.ledger) == []


async def test_a_forged_verdict_with_a_correct_mac_is_found(dials: Dialer, url: str) -> None:
    await called_and_refused(dials)
    refused = await number_of(dials.ledger, "judged", allowed=False)
    await forge(dials.ledger, refused, allowed=True, gate="", reason="")
    assert any("verdict is not what its inputs give" in each for each in await problems(dials.ledger))


async def test_forged_inputs_with_a_correct_mac_are_found(dials: Dialer, clock: Clock) -> None:
    """The history that a verdict was given says less than the entries before it."""
    for campaign in ("one", "two"):
        assert (await dials.call(contact(ADA), campaign)).result == "called"
    second = (await number_of(dials.ledger, "judged", allowed=True)) + 2
    body = next(json.loads(entry.body) for entry in await rows(dials.ledger, Entry) if entry.number == second)
    body["facts"]["past"]["calls"] = []
    await forge(dials.ledger, second, facts=body["facts"])
    assert any("not what the entries before say" in each for each in await problems(dials.ledger))


async def test_an_entry_that_was_changed_is_found(dials: Dialer) -> None:
    await called_and_refused(dials)
    changed = update(Entry).where(Entry.number == 2).values(body=Entry.body + " ")
    await write(dials.ledger, changed)
    assert any("does not follow" in each for each in await problems(dials.ledger))


@pytest.mark.parametrize("number", [1, 2, "last"])
async def test_an_entry_that_was_taken_out_is_found(dials: Dialer, number: int | str) -> None:
    await called_and_refused(dials)
    last = len(await rows(dials.ledger, Entry))
    await write(dials.ledger, delete(Entry).where(Entry.number == (last if number == "last" else number)))
    assert await problems(dials.ledger)


async def test_an_entry_that_was_filed_under_another_person_is_found(dials: Dialer) -> None:
    """The gate finds earlier calls by that column."""
    await called_and_refused(dials)
    await write(dials.ledger, update(Entry).where(Entry.number == 2).values(subject="0" * 32))
    assert any("filed as another" in each for each in await problems(dials.ledger))


async def test_a_do_not_call_entry_that_was_taken_off_is_found(dials: Dialer) -> None:
    await dials.ledger.suppress(ADA, "key 9")
    assert await problems(dials.ledger) == []
    await write(dials.ledger, delete(Suppression))
    assert any("do-not-call" in each for each in await problems(dials.ledger))


async def test_another_key_verifies_nothing(dials: Dialer, tmp_path: Path, clock: Clock) -> None:
    await called_and_refused(dials)
    other = dialer(clock, database_url=f"sqlite:///{tmp_path}/agent.db", ledger_key=OTHER_KEY)
    assert any("does not follow" in each for each in await problems(other.ledger))
    await other.close()


# --- what is stored --------------------------------------------------------------------------------------------------


async def test_neither_numbers_nor_words_are_stored(dials: Dialer) -> None:
    who = contact(ADA, id="Lovelace", debt="loan of Babbage", purpose="debt", consent_wording="I agree to be called")
    sid = (await dials.call(who, "reminder of March")).call_sid
    await dials.ledger.suppress(ADA, "in a call")
    everything = json.dumps(
        [
            [str(value) for value in row]
            for table in (Entry, Subject, Suppression)
            for row in await rows(dials.ledger, table)
        ]
    )
    for secret in (ADA, ADA[1:], "2125550123", "Lovelace", "Babbage", "reminder", "agree", sid):
        assert secret not in everything, secret


async def test_an_erased_person_leaves_a_tombstone_and_the_chain_holds(dials: Dialer, url: str) -> None:
    await called_and_refused(dials)
    pseudonym = {entry.subject for entry in await rows(dials.ledger, Entry)}
    tombstone = await dials.ledger.erase(ADA)
    entries = await rows(dials.ledger, Entry)
    assert entries[-1].number == tombstone and json.loads(entries[-1].body)["kind"] == "erased"
    assert len(await rows(dials.ledger, Subject)) == len(pseudonym) - 1  # the key is gone
    assert await problems(dials.ledger) == []
    assert await dials.ledger.erase(ADA) is None


async def test_an_erased_person_is_not_called_again(dials: Dialer, clock: Clock) -> None:
    """Which calls were counted is forgotten, so the number is on the list: a keyed hash that nothing else has."""
    await called_and_refused(dials)
    await dials.ledger.erase(ADA)
    hashes, entries = await rows(dials.ledger, Suppression), await rows(dials.ledger, Entry)
    assert hashes and not any(row.hash in entry.body for row in hashes for entry in entries)
    assert (await dials.call(contact(ADA), "next")).gate == "do not call"


async def test_a_refusal_is_kept_for_five_years(dials: Dialer, clock: Clock) -> None:
    await dials.ledger.suppress(ADA, "key 9")
    clock.now += 5 * 365 * DAY
    assert await dials.ledger.suppressed(ADA) == "key 9"
    clock.now += 3 * DAY
    assert await dials.ledger.suppressed(ADA) is None
    assert await problems(dials.ledger) == []


async def test_a_consent_from_before_a_refusal_does_not_count_after_it_is_lifted(dials: Dialer, clock: Clock) -> None:
    await dials.ledger.suppress(ADA, "key 9")
    assert await dials.ledger.lift(ADA) and not await dials.ledger.lift(ADA)
    assert (await dials.call(contact(ADA), "one")).gate == "consent"
    clock.now += DAY
    assert (await dials.call(contact(ADA, consent_at=clock.now.isoformat()), "two")).result == "called"


# --- two dialers -----------------------------------------------------------------------------------------------------

RIVAL = """
import asyncio, sys
from app.outbound.tests.dialing import ADA, Clock, contact, dialer

async def main(url, name):
    own = dialer(Clock(), database_url=url, calls_per_day=3)
    print("ready", flush=True)
    sys.stdin.readline()
    results = [(await own.call(contact(ADA), f"{name} {number}")).result for number in range(4)]
    await own.close()
    print(results.count("called"))

asyncio.run(main(*sys.argv[1:]))
"""


def rival(url: str, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RIVAL, url, name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


async def test_two_processes_cannot_exceed_a_cap(url: str, clock: Clock) -> None:
    """Each of them would call four times: together they call three times, which the cap allows."""
    await empty(url)
    rivals = [rival(url, name) for name in ("one", "two")]
    for each in rivals:
        assert each.stdout and each.stdout.readline() == "ready\n"
    said = await asyncio.gather(*(asyncio.to_thread(each.communicate, "go\n", 60) for each in rivals))
    assert [each.returncode for each in rivals] == [0, 0]
    assert sum(int(out.split()[-1]) for out, _ in said) == 3
    own = dialer(clock, database_url=url)
    found = await own.ledger.verify()
    assert (found.problems, found.verdicts) == ([], 8)
    await own.close()


async def test_many_calls_at_once_keep_the_chain(dials: Dialer, url: str) -> None:
    numbers = [f"+1212555{number:04d}" for number in range(20)]
    results = await asyncio.gather(*(dials.call(contact(number), "many") for number in numbers))
    assert {result.result for result in results} == {"called"}
    assert await problems(dials.ledger) == []


# --- where it lies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("database", "deployed", "shared", "fits"),
    [
        ("sqlite:///./agent.db", False, False, True),
        ("sqlite:///./agent.db", True, False, False),
        ("sqlite:///./agent.db", False, True, False),
        ("postgresql://agent@host/agent", True, True, True),
    ],
)
def test_several_workers_need_postgresql(
    monkeypatch: pytest.MonkeyPatch, database: str, deployed: bool, shared: bool, fits: bool
) -> None:
    monkeypatch.setattr(config, "DEPLOYED", deployed)
    monkeypatch.setattr(STORE, "shared", shared)
    found = unfit_database(defaults.settings(database_url=database))
    assert (not found) == fits and len(found) < 2
    assert all("DATABASE_URL is a SQLite file" in each and "postgresql://" in each for each in found)


async def test_a_database_that_is_down_is_no_permission(no_thread_is_left: None, clock: Clock) -> None:
    account = SimulatedAccount()
    own = dialer(clock, account, database_url="sqlite:////dev/null/agent.db")
    found = await own.call(contact(ADA), "spring")
    assert (found.result, found.gate) == ("failed", LEDGER) and not account.calls.records
    await own.close()
