"""Signals of a person whose reaction failed are exported and erased, and none of others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from app.capability import Services
from app.compliance.gdpr.erasure import erase, export
from app.compliance.gdpr.source import Person
from app.intelligence.reactions import FailedSignals
from app.registry import PARTS
from app.store import InProcess
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount

ADA, BOB = "+15005550006", "+15005550009"
NOW = datetime(2026, 11, 28, tzinfo=UTC)


async def test_failed_signals_are_exported_and_erased(tmp_path: Path) -> None:
    account, file = SimulatedAccount(), FailedSignals(tmp_path / "failed.jsonl")
    settings = defaults.settings(failed_signals=file.path)
    services = Services(settings, InProcess(), lambda: NOW, account.transport, parts=PARTS)
    for day, person, said in ((1, ADA, "angry"), (2, BOB, "calm"), (3, ADA, "sad")):
        session = {"id": f"conversation of {said}", "caller": person}
        file.add({"at": f"2026-11-0{day}T00:00:00+00:00", "reason": "", "signal": said, "session": session})
    person = Person("phone", ADA)

    exported = await export(services, person)
    assert [each["signal"] for each in exported["data"]["failed signals"]] == ["angry", "sad"]

    receipt = await erase(services, person)
    assert receipt.complete and receipt.deleted["failed signals"] == 2
    assert [each["signal"] for each in file.lines()] == ["calm"] and ADA not in file.path.read_text()
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert "failed signals" not in json.dumps((await export(services, person))["data"])
