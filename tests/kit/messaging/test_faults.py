"""Webhooks of messages that come twice, late, out of order or again, and workers that are killed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.messaging.tests.test_messaging import HeldModel, reported_in_another_order, sent, stored, texts_of
from app.store import InProcess
from kit.simulated_twilio.account import SimulatedAccount
from kit.testing import Reach
from tests.kit.fault_table import ROWS, holds


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.messaging.outbox.RETRY_DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("app.messaging.inbox.POLL_INTERVAL", 0.005)


@pytest.mark.parametrize("fault", ["a message is reported twice", "a captured webhook is sent again"])
async def test_a_message_comes_again(reach: Reach, logged: Callable[[], str], fault: str) -> None:
    customer = await reach()
    event = customer.writes("Hello")
    await customer.posts(event, "token")
    if fault != "a message is reported twice":
        await customer.wait_for_app()
    await customer.posts(event, "token")
    await customer.posts(event, "another token")
    await customer.wait_for_app()
    assert sent(customer) == ["Yes."] and texts_of(await stored(customer)) == ["Hello", "Yes."]
    assert holds(ROWS[fault], logged())


async def test_messages_come_out_of_order(reach: Reach, logged: Callable[[], str]) -> None:
    customer = await reported_in_another_order(reach)
    await customer.wait_for_app()
    assert sent(customer) == ["On its way."] and holds(ROWS["messages are reported out of order"], logged())


async def test_a_message_comes_late(reach: Reach, logged: Callable[[], str]) -> None:
    customer = await reach()
    await customer.texts("Hello")
    late = customer.writes("Are you there?")
    await customer.closes()
    await customer.wait_for_app()
    await customer.posts(late)
    await customer.wait_for_app()
    assert sent(customer) == ["Yes."] and holds(
        ROWS["a message is reported after its conversation has ended"], logged()
    )


async def test_a_worker_is_killed(reach: Reach, logged: Callable[[], str]) -> None:
    """It has answered a message, and does nothing more."""
    alone, goes_on = (
        "the worker of a conversation is killed",
        "the worker of a conversation is killed: another one goes on",
    )
    shared = goes_on in ROWS
    account, store, model = SimulatedAccount(), InProcess(), HeldModel("One.", "Two.")
    model.answers.set()
    one = await reach(models=model.models, account=account, store=store)
    assert await one.texts("first") == "One."
    await one.wait_for_app()
    before = logged()
    other = await reach(models=model.models, account=account, store=store if shared else InProcess())
    await other.posts(other.writes("second"))
    await other.wait_for_app()
    assert sent(one) == ["One.", "Two."]
    known = ["first", "One."] if shared else []
    assert texts_of(await stored(other)) == [*known, "second", "Two."]
    assert holds(ROWS[goes_on if shared else alone], logged()[len(before) :])


@pytest.mark.parametrize("data", [1, "x", [1], True])
@pytest.mark.parametrize("event", ["COMMUNICATION_CREATED", "CONVERSATION_UPDATED", "OTHER"])
async def test_data_that_is_no_object_is_no_error_of_the_server(
    reach: Reach, logged: Callable[[], str], event: str, data: object
) -> None:
    customer = await reach()
    await customer.posts({"eventType": event, "data": data})
    assert await customer.texts("Hello") == "Yes." and "text.failed" not in logged()
