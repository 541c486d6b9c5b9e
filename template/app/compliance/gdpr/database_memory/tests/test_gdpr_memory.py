"""Memories in the database are exported and erased, and deleted when they are old."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.capability import Services
from app.compliance.gdpr.erasure import erase, expire, export
from app.compliance.gdpr.source import Person
from app.memory.backend import Identity
from app.memory.database import DatabaseMemory
from app.registry import PARTS
from app.store import InProcess
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount

ADA, BOB = "+15005550006", "+15005550009"
NOW = datetime(2026, 11, 28, tzinfo=UTC)


@pytest.fixture
async def services(tmp_path: Path) -> Services:
    """Each of two people has an old memory and a young one."""
    settings = defaults.settings(database_url=f"sqlite:///{tmp_path}/memory.db", memory_days=30)
    backend = DatabaseMemory.build(Services(settings, InProcess(), lambda: NOW))
    for phone in (ADA, BOB):
        profile = await backend.find_or_create_profile(Identity("phone", phone))
        for days, text in ((31, f"{phone} was young"), (29, f"{phone} likes tea")):
            backend.now = lambda days=days: NOW - timedelta(days=days)  # type: ignore[misc]
            await backend.add_observation(profile, text)
        backend.now = lambda: NOW
    await backend.close()
    account = SimulatedAccount()
    return Services(settings, InProcess(), lambda: NOW, account.transport, parts=PARTS)


async def test_memories_are_exported_and_erased(services: Services) -> None:
    exported = json.dumps(await export(services, Person("phone", ADA)))
    assert f"{ADA} was young" in exported and f"{ADA} likes tea" in exported and BOB not in exported
    receipt = await erase(services, Person("phone", ADA))
    assert receipt.complete and receipt.deleted == {"memory profiles": 1}
    assert (await export(services, Person("phone", ADA)))["data"] == {}
    assert f"{BOB} likes tea" in json.dumps(await export(services, Person("phone", BOB)))


async def test_old_memories_are_deleted_and_young_ones_stay(services: Services) -> None:
    assert await expire(services) == {"memory": 2}
    exported = json.dumps(await export(services, Person("phone", ADA)))
    assert f"{ADA} likes tea" in exported and "was young" not in exported
    assert await expire(services) == {"memory": 0}
