"""Memory in Twilio against the simulated account, and the simulation against the helper library."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException

from app.capability import Services
from app.memory.backend import Deleted, Identity
from app.memory.twilio import TwilioMemory
from app.store import InProcess
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.memory import READABLE_AFTER
from kit.simulated_twilio.product import Fault, Request

ADA, BOB = Identity("phone", defaults.CALLER), Identity("phone", "+15005550009")


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


def memory(account: SimulatedAccount, **settings: Any) -> TwilioMemory:
    services = Services(defaults.settings(**settings), InProcess(), lambda: datetime.now(UTC), account.transport)
    return TwilioMemory.build(services)


async def recalled(account: SimulatedAccount, query: str | None = None, **settings: Any) -> tuple[list[str], list[str]]:
    """Ada's observations and summaries, as texts."""
    own = memory(account, **settings)
    profile = await own.find_profile(ADA)
    assert profile
    memories = await own.recall(profile, query)
    return [item.text for item in memories.observations], [item.text for item in memories.summaries]


def asked(account: SimulatedAccount, ending: str) -> list[Request]:
    return [request for request in account.memory.requests if request.path.endswith(ending)]


# --- reading -----------------------------------------------------------------------------------------------------


async def test_a_caller_is_known_by_number(account: SimulatedAccount) -> None:
    ada = account.memory.add_caller(ADA.value, {"firstName": "Ada"}, ["Prefers tea."], ["Asked about order 4711."])
    own = memory(account)
    assert await own.find_profile(ADA) == ada.id and await own.find_profile(BOB) is None
    memories = await own.recall(ada.id)
    assert memories.traits == {"Contact.firstName": "Ada"}  # the phone number is not for the model
    assert [item.text for item in memories.observations] == ["Prefers tea."]
    assert [item.text for item in memories.summaries] == ["Asked about order 4711."]
    at = memories.observations[0].at
    assert at and abs(datetime.now(UTC) - at) < timedelta(minutes=1)


async def test_the_lookup_sends_neither_query_nor_conversation_id(account: SimulatedAccount) -> None:
    account.memory.add_caller(ADA.value, observations=["Prefers tea."])
    await recalled(account)
    (request,) = asked(account, "/Recall")
    assert not {"query", "conversationId"} & request.body.keys() and request.body["communicationsLimit"] == 0


async def test_a_query_finds_the_items_that_match(account: SimulatedAccount) -> None:
    account.memory.add_caller(ADA.value, observations=["Prefers tea.", "Has a dog."])
    assert await recalled(account, "which dog") == (["Has a dog."], [])
    assert await recalled(account, "dog " * 1000) == (["Has a dog."], [])  # the API takes 1024 characters


async def test_scope_number_and_age_limit_recall(account: SimulatedAccount) -> None:
    account.memory.add_caller(ADA.value, {"firstName": "Ada"}, ["First.", "Second.", "Third."], ["Called."])
    assert await recalled(account, memory_items=2) == (["Third.", "Second."], ["Called."])
    assert await recalled(account, memory_scope="summaries") == ([], ["Called."])
    assert await recalled(account, memory_scope="observations") == (["Third.", "Second.", "First."], [])
    (ada,) = account.memory.profiles.values()
    ada.items["observations"][0]["occurredAt"] = "2020-01-01T00:00:00Z"
    assert await recalled(account) == (["Second.", "First."], ["Called."])
    requests = len(asked(account, "/Recall"))
    memories = await memory(account, memory_scope="traits").recall(ada.id)
    assert len(memories) == 1 and len(asked(account, "/Recall")) == requests


async def test_a_merged_profile_is_followed(account: SimulatedAccount) -> None:
    ada = account.memory.add_caller(ADA.value, {"firstName": "Ada"}, ["Prefers tea."])
    account.memory.merged["mem_profile_old"] = ada.id
    memories = await memory(account).recall("mem_profile_old")
    assert [item.text for item in memories.observations] == ["Prefers tea."] and memories.traits


async def test_one_of_two_responses_is_used(account: SimulatedAccount) -> None:
    ada = account.memory.add_caller(ADA.value, {"firstName": "Ada"}, ["Prefers tea."])
    account.memory.fault = Fault(status=503, times=1)
    assert len(await memory(account).recall(ada.id)) == 1


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_an_error_is_raised_with_its_status(account: SimulatedAccount, status: int) -> None:
    ada = account.memory.add_caller(ADA.value)
    account.memory.fault = Fault(status=status)
    for asking in (memory(account).find_profile(ADA), memory(account).recall(ada.id), memory(account).forget(ADA)):
        with pytest.raises(TwilioRestException) as error:
            await asking
        assert error.value.status == status


async def test_an_unknown_store_is_an_error(account: SimulatedAccount) -> None:
    with pytest.raises(TwilioRestException) as error:
        await memory(account, memory_store_id="mem_store_" + "1" * 26).find_profile(ADA)
    assert error.value.status == 404


# --- writing -----------------------------------------------------------------------------------------------------


async def test_a_write_can_be_read_later(account: SimulatedAccount) -> None:
    own = memory(account)
    profile = await own.find_or_create_profile(ADA)
    await own.add_observation(profile, "Prefers tea.", "conv_conversation_1")
    await own.add_summary(profile, "Asked about order 4711.")
    account.clock.advance(READABLE_AFTER)
    assert await recalled(account) == (["Prefers tea."], ["Asked about order 4711."])
    (request,) = asked(account, "/Observations")
    assert request.body["observations"][0]["conversationIds"] == ["conv_conversation_1"]


async def test_a_profile_is_created_once(account: SimulatedAccount) -> None:
    own = memory(account)
    ada = await own.find_or_create_profile(ADA)
    assert ada == await own.find_or_create_profile(ADA) != await own.find_or_create_profile(BOB)


async def test_a_long_text_is_cut_to_the_limit_of_the_api(account: SimulatedAccount) -> None:
    own = memory(account)
    profile = await own.find_or_create_profile(ADA)
    await own.add_observation(profile, "tea " * 2000)
    await own.add_summary(profile, "tea " * 2000)
    account.clock.advance(READABLE_AFTER)
    (observation,), (summary,) = await recalled(account)
    assert len(observation) == len(summary) == 4096


# --- forgetting ----------------------------------------------------------------------------------------------------


async def test_a_caller_is_forgotten_and_no_other(account: SimulatedAccount) -> None:
    account.memory.add_caller(ADA.value, {"firstName": "Ada"}, ["Prefers tea.", "Has a dog."], ["Called."])
    account.memory.add_caller(BOB.value, observations=["Prefers coffee."])
    assert await memory(account).forget(ADA) == Deleted(1, 2, 1)
    assert account.memory.of(ADA.value) is None and account.memory.of(BOB.value)
    assert await memory(account).forget(ADA) == Deleted()


async def test_all_pages_are_forgotten(account: SimulatedAccount) -> None:
    ada = account.memory.add_caller(ADA.value, observations=[f"Fact {number}." for number in range(7)])
    account.memory.page_size = 3
    assert await memory(account).forget(ADA) == Deleted(1, 7, 0)
    assert ada.items["observations"] == []
