"""Text conversations that a human takes over while the shared store is down: the agent stays silent afterwards."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kit.activity import wait_until
from kit.simulated_twilio.account import SimulatedAccount
from kit.testing import Reach
from kit.texter import Texter

shared: Any = pytest.importorskip("app.stores.tests.test_shared", reason="the project has no shared store")


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.stores.shared.OUTAGE_PAUSE", 0.02)
    monkeypatch.setattr("app.messaging.outbox.RETRY_DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("app.messaging.inbox.POLL_INTERVAL", 0.005)


async def two(reach: Reach) -> tuple[Texter, Texter]:
    """A customer whose messages come to one worker or to the other. Their stores share a server."""
    account, mine, other = SimulatedAccount(), shared.FakeStore(), shared.FakeStore()
    other.server = mine.server
    return await reach(account=account, store=mine), await reach(account=account, store=other)


async def writes(customer: Texter, text: str) -> None:
    await customer.posts(customer.writes(text))
    await customer.wait_for_app()


@pytest.mark.parametrize("mode", ["refuses", "hangs"])
@pytest.mark.parametrize("worker", [0, 1])
async def test_a_human_who_writes_during_the_outage_has_the_conversation_after_it(
    reach: Reach, worker: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.stores.shared.REQUEST_TIMEOUT", 0.05)
    workers = await two(reach)
    first, store = workers[0], workers[0].messaging.store
    await writes(first, "Hello")
    before = len(first.account.conversations.sent)
    store.mode = mode
    await first.human("I take over.")
    await first.wait_for_app()
    store.mode = "up"
    await wait_until(lambda: not store.down and not store.unsent, "the store is not back")
    await writes(workers[worker], "Thank you")
    assert len(first.account.conversations.sent) == before
    assert workers[worker].messaging.counts["left to a human"] == 1


@pytest.mark.parametrize("worker", [0, 1])
async def test_a_human_who_accepts_during_the_outage_has_the_conversation_after_it(reach: Reach, worker: int) -> None:
    record: Any = pytest.importorskip("app.escalation.record", reason="the project has no hand-off")
    pytest.importorskip("app.escalation.flex", reason="calls only")
    workers = await two(reach)
    first, store = workers[0], workers[0].messaging.store
    await writes(first, "Hello")
    id, records = first.conversation, record.Records(store)
    await records.put(id, record.Record(payload={"channel": "sms", "reason_code": "asked"}, state="queued"))
    before = len(first.account.conversations.sent)
    store.mode = "refuses"
    await store.get("anything")
    await records.move(id, record.State.ACCEPTED)
    store.mode = "up"
    await wait_until(lambda: not store.down and not store.unsent, "the store is not back")
    await writes(workers[worker], "Thank you")
    await asyncio.sleep(0)
    assert len(first.account.conversations.sent) == before
    assert workers[worker].messaging.counts["left to a human"] == 1
