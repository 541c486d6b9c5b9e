"""A refusal holds at once on every channel: of calls by a message, and of messages by a call."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from app.outbound import Outbound
from app.outbound.tests.dialing import ADA, Clock, contact
from app.registry import CHANNELS
from kit.plugin import Reach

if not any(channel.name == "messaging" for channel in CHANNELS):
    pytest.skip("this project has no messages", allow_module_level=True)


def outbound(customer: Any) -> Outbound:
    capabilities = customer.app.state.conversations.capabilities
    return next(each for each in capabilities if isinstance(each, Outbound))


async def writes(customer: Any, text: str) -> None:
    await customer.posts(customer.writes(text))
    await customer.wait_for_app()


@pytest.mark.parametrize("text", ["STOP", "Please stop texting me.", "Don't call me again!"])
async def test_a_refusal_in_a_message_ends_calls(reach: Reach, text: str) -> None:
    customer = await reach(author=ADA, now=Clock())
    dialer = outbound(customer).dialer
    assert (await dialer.would_call(contact(), "spring")).allowed
    await writes(customer, text)
    verdict = await dialer.would_call(contact(), "spring")
    assert verdict.gate == "do not call" and "in a message" in verdict.reason


async def test_other_words_end_nothing(reach: Reach) -> None:
    customer = await reach(author=ADA, now=Clock())
    assert await customer.texts("Can you call me tomorrow?") == "Yes."
    assert (await outbound(customer).dialer.would_call(contact(), "spring")).allowed


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_refusal_of_calls_ends_messages_until_start(reach: Reach, by_hand: bool) -> None:
    customer = await reach(author=ADA, now=Clock())
    assert await customer.texts("Hello") == "Yes."
    if by_hand:
        await outbound(customer).ledger.suppress(ADA, "by hand")
    else:
        await outbound(customer).refuse(ADA, "in a call")
    await writes(customer, "Where is my order?")
    assert customer.messaging.counts["opted out"] == 1
    assert await customer.texts("START") == "Yes."
    assert (await outbound(customer).dialer.would_call(contact(), "spring")).gate == "do not call"  # calls stay refused


async def test_a_message_that_the_agent_begins_keeps_to_the_list_and_to_daytime(reach: Reach) -> None:
    clock = Clock()
    own = outbound(await reach(now=clock))
    assert await own.bars(ADA) is None
    clock.now += timedelta(hours=10)  # 23:00 in New York
    assert "outside of 08:00 to 21:00" in str(await own.bars(ADA))
    clock.now -= timedelta(hours=10)
    assert "time zone" in str(await own.bars("+18005550123"))
    await own.ledger.suppress(ADA, "by hand")
    assert "do-not-call" in str(await own.bars(ADA))


async def test_no_message_begins_while_the_list_does_not_answer(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_: Any) -> str:
        raise OSError("the database is down")

    own = outbound(await reach(now=Clock()))
    monkeypatch.setattr(own.ledger, "suppressed", breaks)
    assert await own.bars(ADA) and not await own.is_opted_out(ADA)  # a customer who writes is answered


async def test_another_customer_is_answered(reach: Reach) -> None:
    customer = await reach(now=Clock())
    await outbound(customer).refuse(ADA, "in a call")
    assert await customer.texts("Hello") == "Yes."
