"""Memories in Twilio are exported and erased, and deleted when they are old."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from app.capability import Services
from app.compliance.gdpr.erasure import erase, expire, export
from app.compliance.gdpr.source import Person
from app.registry import PARTS
from app.store import InProcess
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.product import Fault

ADA, BOB = "+15005550006", "+15005550009"
NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
def account() -> SimulatedAccount:
    account = SimulatedAccount()
    account.memory.add_caller(ADA, {"email": "ada@example.com"}, ["Prefers tea.", "Has a dog."], ["Called."])
    account.memory.add_caller(BOB, observations=["Prefers coffee."])
    return account


@pytest.fixture
def services(account: SimulatedAccount) -> Services:
    settings = defaults.settings(memory_days=30)
    return Services(settings, InProcess(), lambda: NOW, account.transport, parts=PARTS)


@pytest.mark.parametrize("person", [Person("phone", ADA), Person("email", "ada@example.com")])
async def test_memories_are_exported_and_erased(person: Person, account: SimulatedAccount, services: Services) -> None:
    exported = json.dumps(await export(services, person))
    assert all(text in exported for text in ("Prefers tea.", "Has a dog.", "Called.", "ada@example.com"))
    assert "coffee" not in exported
    receipt = await erase(services, person)
    assert receipt.complete and receipt.deleted["memory profiles"] == 1
    assert account.memory.of(ADA) is None and account.memory.of(BOB)


async def test_old_memories_are_deleted_and_young_ones_stay(account: SimulatedAccount, services: Services) -> None:
    account.memory.page_size = 1
    for phone in (ADA, BOB):
        profile = account.memory.of(phone)
        assert profile
        for number, item in enumerate([*profile.items["observations"], *profile.items["summaries"]]):
            age = timedelta(days=31 if number == 0 else 29)
            item["occurredAt"] = (NOW - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert await expire(services) == {"memory": 2}
    ada, bob = account.memory.of(ADA), account.memory.of(BOB)
    assert ada and [item["content"] for item in ada.items["observations"]] == ["Prefers tea."]
    assert len(ada.items["summaries"]) == 1 and bob and bob.items["observations"] == []
    assert await expire(services) == {"memory": 0}


async def test_memory_that_does_not_answer_is_named(account: SimulatedAccount, services: Services) -> None:
    account.memory.fault = Fault(status=503)
    assert await expire(services) == {"memory": "TwilioRestException 503"}
    receipt = await erase(services, Person("phone", ADA))
    assert receipt.unread == {"memory": "TwilioRestException 503 20500"} and not receipt.complete
