"""The sink and the subscription that `agent setup` makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.observability.twilio_events.resources import event_types
from kit import defaults
from kit.setup.resource import SetupContext
from tests.kit.account import Account
from tests.kit.account import state as state_of

MORE = "com.twilio.voice.insights.call-summary.partial"


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def events(account: Account) -> Any:
    return account.simulated.event_streams


async def test_errors_are_sent_to_this_server(account: Account) -> None:
    await account.apply()
    (sink,) = events(account).sinks.values()
    (subscription,) = events(account).subscriptions.values()
    assert sink["sink_configuration"]["destination"] == f"{defaults.PUBLIC_URL}/webhooks/events"
    assert subscription["sink_sid"] == sink["sid"]
    assert events(account).types[subscription["sid"]] == event_types()
    assert await account.broken() == []


async def test_a_sink_of_the_owner_is_kept_and_its_subscription_extended(account: Account) -> None:
    own = events(account).subscribe(types={MORE: 6})
    before = state_of(account.simulated)
    planned = await account.plan()
    assert (planned["event sink"], planned["event subscription"]) == ("keep", "change")
    await account.apply()
    assert events(account).types == {own: {MORE: 6, **event_types()}}
    assert (await account.plan())["event subscription"] == "keep"
    await account.undo()
    assert state_of(account.simulated) == before


async def test_a_sink_without_a_subscription_gets_one(account: Account) -> None:
    sink = events(account).add_sink(f"{defaults.PUBLIC_URL}/webhooks/events")
    await account.apply()
    assert [each["sink_sid"] for each in events(account).subscriptions.values()] == [sink["sid"]]
    await account.undo()
    assert list(events(account).sinks) == [sink["sid"]] and not events(account).subscriptions


class Moved(Account):
    """The server has another address than before."""

    url = "https://moved.example"

    def begins(self, **given: str) -> SetupContext:
        setup = super().begins(**given)
        setup.settings = setup.settings.model_copy(update={"public_url": self.url})
        return setup


async def test_a_new_address_replaces_the_sink(account: Account, tmp_path: Path) -> None:
    theirs = events(account).subscribe("https://another.example/webhooks/events")
    before = state_of(account.simulated)
    await account.apply()
    moved = Moved(tmp_path)
    moved.simulated, moved.wire = account.simulated, account.wire
    planned = await moved.plan()
    assert (planned["event sink"], planned["event subscription"]) == ("create", "create")
    await moved.apply()
    destinations = {sink["sink_configuration"]["destination"] for sink in events(account).sinks.values()}
    assert destinations == {"https://another.example/webhooks/events", f"{Moved.url}/webhooks/events"}
    assert len(events(account).subscriptions) == 2 and theirs in events(account).subscriptions
    await moved.undo()
    assert state_of(account.simulated) == before


async def test_a_sink_that_has_failed_is_no_proof(account: Account) -> None:
    await account.apply()
    (sink,) = events(account).sinks.values()
    sink["status"] = "failed"
    assert await account.broken() == [("event sink", "is active")]
