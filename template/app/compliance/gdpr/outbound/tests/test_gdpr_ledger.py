"""Export and erasure of what the ledger of outbound calls has of a person."""

from __future__ import annotations

import json
from pathlib import Path

from app.capability import Services
from app.compliance.gdpr.erasure import LEDGER, erase, export
from app.compliance.gdpr.source import Person
from app.outbound.dialer import Dialer
from app.outbound.tests.dialing import ADA, BOB, Clock, contact, services
from kit.simulated_twilio.account import SimulatedAccount


async def called(own: Services) -> None:
    dialer = Dialer.build(own)
    for number in (ADA, BOB):
        assert (await dialer.call(contact(number), "spring")).result == "called"
    await dialer.close()


async def test_a_person_is_exported_and_erased_and_the_chain_holds(tmp_path: Path) -> None:
    account = SimulatedAccount()
    own = services(Clock(), account, database_url=f"sqlite:///{tmp_path}/agent.db")
    await called(own)
    for record in account.calls.records.values():
        record["status"] = "completed"
    kind = "persons in the ledger of calls"
    exported = await export(own, Person("phone", ADA))
    (found,) = exported["data"][kind]
    assert {entry["kind"] for entry in found["entries"]} == {"consent", "judged", "placed"}
    receipt = await erase(own, Person("phone", ADA))
    assert receipt.deleted[kind] == 1 and LEDGER in receipt.not_reached
    assert ADA not in json.dumps(receipt.as_json())
    assert kind not in (await export(own, Person("phone", ADA)))["data"]
    assert kind in (await export(own, Person("phone", BOB)))["data"]
    dialer = Dialer.build(own)
    assert (await dialer.ledger.verify()).problems == []
    assert (await dialer.would_call(contact(ADA), "next")).gate == "do not call"
    assert (await dialer.would_call(contact(BOB), "next")).allowed
    await dialer.close()


async def test_an_address_that_is_no_number_has_nothing_there(tmp_path: Path) -> None:
    own = services(Clock(), database_url=f"sqlite:///{tmp_path}/agent.db")
    assert (await export(own, Person("email", "ada@example.com")))["data"] == {}
