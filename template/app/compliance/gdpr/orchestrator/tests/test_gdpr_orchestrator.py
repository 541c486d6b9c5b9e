"""Conversations and operator results of a person are exported and erased, and none of others."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from app.capability import Services
from app.compliance.gdpr.erasure import erase, export
from app.compliance.gdpr.source import Person
from app.registry import PARTS
from app.store import InProcess
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.conversations import VISIBLE_AFTER

ADA, BOB = "+15005550006", "+15005550009"


def add_result(account: SimulatedAccount, conversation: str, text: str) -> str:
    id = f"intelligence_operatorresult_{len(account.intelligence.results):026d}"
    result = {"id": id, "operator": {"displayName": "Summary"}, "result": {"text": text}}
    account.intelligence.results[id] = {**result, "conversationId": conversation}
    return id


async def test_conversations_and_their_results_are_exported_and_erased() -> None:
    account = SimulatedAccount()
    account.clock.stop()
    services = Services(defaults.settings(), InProcess(), lambda: datetime.now(UTC), account.transport, parts=PARTS)
    ours, theirs = (
        account.conversations.write(person, defaults.CALLED, "SMS", f"{person} writes")["conversationId"]
        for person in (ADA, BOB)
    )
    call = account.calls.add(ADA, defaults.CALLED, status="completed")["sid"]
    spoken = account.conversations.begin("", "VOICE", call, "+266696687", defaults.CALLED)  # withheld for Twilio
    mine, other = add_result(account, ours, "Ada asks"), add_result(account, theirs, "Bob asks")
    account.clock.advance(VISIBLE_AFTER)
    await services.store.put(f"session:{ours}", json.dumps({"caller": ADA}), 60)

    exported = json.dumps(await export(services, Person("phone", ADA)))
    assert f"{ADA} writes" in exported and "Ada asks" in exported and BOB not in exported
    assert "Bob asks" not in exported  # Twilio's filter lists results of other conversations too

    receipt = await erase(services, Person("phone", ADA))
    assert receipt.complete and receipt.deleted["conversations"] == 2 and receipt.deleted["operator results"] == 1
    assert [*account.conversations.records] == [theirs] and spoken not in account.conversations.people
    assert mine not in account.intelligence.results and other in account.intelligence.results
    assert await services.store.get(f"session:{ours}") is None
