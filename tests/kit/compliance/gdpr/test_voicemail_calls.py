"""A voicemail of level 4 is exported and erased with everything else of its caller."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app import config
from app.capability import Services
from app.compliance.gdpr.erasure import erase, export
from app.compliance.gdpr.source import Person
from app.registry import PARTS
from app.store import InProcess
from kit import defaults
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import dial_app
from kit.simulated_twilio.account import SimulatedAccount

pytest.importorskip("app.escalation.enqueue")
ASKS = {"hears": "person", "calls": {"transfer_to_human": {"reason": "Billing dispute"}}}


async def test_a_voicemail_is_exported_and_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    from app.escalation.handoff import handoff

    heard: list[str] = []

    async def follow_up(caller: str, reason: str, recording: str | None) -> None:
        heard.append(str(recording))

    monkeypatch.setattr(handoff, "WAY_OUT", "voicemail")
    monkeypatch.setattr(config, "VOICEMAIL", True)
    monkeypatch.setattr(handoff, "follow_up", follow_up)
    account, store = SimulatedAccount(), InProcess()
    async with dial_app(build_app(ASKS, account=account, store=store), account=account) as call:
        await call.says("A person, please")
        await call.wait_for_end()
        await account.simulate(call, {"taskrouter": "no_worker"})
        await wait_until(lambda: heard, "there is no voicemail")
    now: Callable[[], datetime] = lambda: datetime(2026, 11, 28, tzinfo=UTC)  # noqa: E731
    services = Services(defaults.settings(), store, now, account.transport, parts=PARTS)
    person = Person("phone", defaults.CALLER)

    data = (await export(services, person))["data"]
    assert [each["media_url"] for each in data["recordings"]] == heard
    assert heard[0] in json.dumps(data["sessions"])

    receipt = await erase(services, person)
    assert receipt.complete and receipt.deleted["recordings"] == 1 and account.recordings.records == {}
    assert (await export(services, person))["data"] == {}
