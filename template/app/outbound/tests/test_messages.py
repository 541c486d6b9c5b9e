"""A refusal holds at once on every channel: of calls by a message, and of messages by a call."""

from __future__ import annotations

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


async def test_somebody_else_is_answered(reach: Reach) -> None:
    customer = await reach(now=Clock())
    await outbound(customer).refuse(ADA, "in a call")
    assert await customer.texts("Hello") == "Yes."
