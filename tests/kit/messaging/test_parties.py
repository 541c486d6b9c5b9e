"""The customer of a text conversation: whoever wrote first, and only if the address can be answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import this_session
from kit import defaults
from kit.simulated_twilio.conversations import webhook
from kit.testing import Reach, play
from kit.texter import Texter

ADA, BOB = defaults.CALLER, "+15005550007"
SCRIPT = [{"hears": "who", "calls": {"parties_of_the_conversation": {}}}, {"hears": "", "says": "Yes."}]

seen: list[tuple[str, dict[str, str]]] = []


async def parties_of_the_conversation() -> str:
    """Say who is writing."""
    seen.append((this_session().caller, dict(this_session().parameters)))
    return "Done."


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.clear()


def sent(customer: Texter) -> int:
    return len(customer.account.conversations.sent)


async def test_a_customer_who_answers_a_message_of_ours_is_the_customer(reach: Reach) -> None:
    customer = await reach(*SCRIPT, tools=[parties_of_the_conversation])
    await customer.is_written_to("Your order has left.")
    assert sent(customer) == 0
    assert await customer.texts("Who is it?") == "Done."
    assert [caller for caller, _ in seen] == [ADA]


@pytest.mark.parametrize("kind", ["HUMAN_AGENT", "AI_AGENT", "AGENT"])
async def test_a_colleague_who_writes_first_is_not_the_customer(reach: Reach, kind: str) -> None:
    customer = await reach(*SCRIPT, tools=[parties_of_the_conversation])
    conversations = customer.account.conversations
    first = conversations.write(ADA, customer.called, "SMS", "Hello")  # begins the conversation; not delivered
    message = conversations.join_human(first["conversationId"], "Hello, this is Eve.")
    conversations.people[first["conversationId"]][-1]["type"] = kind
    await customer.posts(webhook("COMMUNICATION_CREATED", message))
    await customer.wait_for_app()
    if kind == "HUMAN_AGENT":  # only this conversation is stored
        assert (await customer.session()).caller == ""
    await customer.posts(customer.writes("Who is it?"))
    await customer.wait_for_app()
    session = await customer.session()
    assert (session.caller, session.parameters["channel"]) == (ADA, "SMS")
    assert [caller for caller, _ in seen] == ([] if kind == "HUMAN_AGENT" else [ADA])
    assert sent(customer) == (0 if kind == "HUMAN_AGENT" else 1)


async def test_a_message_of_a_colleague_beside_one_of_the_customer_changes_nothing(reach: Reach) -> None:
    customer = await reach(*SCRIPT, channel="CHAT", author="ada@example.com")
    await customer.texts("Hello")
    await customer.human("I take over.")
    await customer.wait_for_app()
    session = await customer.session()
    assert (session.caller, session.parameters.get("email")) == ("ada@example.com", "ada@example.com")


@pytest.mark.parametrize("author", ["12345", "ACME", "Verify", "anonymous", "+266696687", "+1", "911"])
async def test_a_sender_that_no_sms_can_reach_is_not_answered(reach: Reach, author: str) -> None:
    customer = await reach(*SCRIPT, author=author)
    await customer.posts(customer.writes("Who is it?"))
    await customer.wait_for_app()
    assert sent(customer) == 0 and seen == []
    assert customer.messaging.counts["failed"] == 0


@pytest.mark.parametrize("author", ["visitor-17", "anonymous", "12345"])
async def test_any_name_is_answered_in_a_chat(reach: Reach, author: str) -> None:
    customer = await reach(*SCRIPT, channel="CHAT", author=author, tools=[parties_of_the_conversation])
    assert await customer.texts("Who is it?") == "Done."
    assert [(caller, parameters["account_id"]) for caller, parameters in seen] == [(author, author)]


async def test_two_customers_of_one_conversation_are_kept_apart(reach: Reach) -> None:
    customer = await reach(*SCRIPT, tools=[parties_of_the_conversation])
    await customer.texts("Who is it?")
    assert (await customer.session()).profile_id
    conversations, conversation = customer.account.conversations, customer.conversation
    bob = conversations.join(conversation, "CUSTOMER", "SMS", BOB)
    await customer.posts(webhook("COMMUNICATION_CREATED", conversations._message(conversation, bob, "SMS", "Who?")))
    await customer.wait_for_app()
    assert [caller for caller, _ in seen] == [ADA, BOB]
    assert conversations.sent[-1]["recipients"][0]["address"] == BOB
    assert (await customer.session()).profile_id is None  # Twilio has resolved none for Bob


async def test_a_scenario_may_begin_with_a_message_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text(
        "given: {channel: messaging, direction: outbound}\n"
        'model: [{says: "Yes."}]\n'
        "turns:\n  - caller: Who is it?\n    expect: {contains: 'yes'}\n"
    )
    assert (await play(path)).failures == []
