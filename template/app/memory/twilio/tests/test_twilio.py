"""Memory in Twilio, against the simulated account; and that the simulation is what the helper library takes it for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest.memory.v1.conversation_summary import ConversationSummaryInstance
from twilio.rest.memory.v1.lookup import LookupInstance
from twilio.rest.memory.v1.observation import ObservationInstance
from twilio.rest.memory.v1.profile import ProfileInstance
from twilio.rest.memory.v1.recall import RecallInstance
from typer.testing import CliRunner

from app.capability import Services
from app.memory.backend import Forgotten, Identity
from app.memory.twilio import TwilioMemory
from app.store import InProcess
from app.twilio_api import twilio_client
from kit import defaults
from kit.cli import app as cli
from kit.registry import COMMANDS
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.product import Fault, Request

ADA, BOB = Identity("phone", defaults.CALLER), Identity("phone", "+15005550009")


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


def memory(account: SimulatedAccount, **settings: Any) -> TwilioMemory:
    services = Services(defaults.settings(**settings), InProcess(), lambda: datetime.now(UTC), account.transport)
    return TwilioMemory.build(services)


async def recalled(account: SimulatedAccount, query: str | None = None, **settings: Any) -> tuple[list[str], list[str]]:
    """What is recalled of Ada: observations and summaries."""
    own = memory(account, **settings)
    profile = await own.identify(ADA)
    assert profile
    known = await own.recall(profile, query)
    return [item.text for item in known.observations], [item.text for item in known.summaries]


def asked(account: SimulatedAccount, ending: str) -> list[Request]:
    return [request for request in account.memory.requests if request.path.endswith(ending)]


async def settle(account: SimulatedAccount) -> None:
    """Until what was written can be read."""
    await asyncio.sleep(0.005)


# --- reading -----------------------------------------------------------------------------------------------------


async def test_a_caller_is_known_by_number(account: SimulatedAccount) -> None:
    ada = account.memory.knows(ADA.value, {"firstName": "Ada"}, ["Prefers tea."], ["Asked about order 4711."])
    own = memory(account)
    assert await own.identify(ADA) == ada.id and await own.identify(BOB) is None
    known = await own.recall(ada.id)
    assert known.traits == {"Contact.firstName": "Ada"}  # a phone number is nothing for a model
    assert [item.text for item in known.observations] == ["Prefers tea."]
    assert [item.text for item in known.summaries] == ["Asked about order 4711."]
    at = known.observations[0].at
    assert at and abs(datetime.now(UTC) - at) < timedelta(minutes=1)


async def test_the_prefetch_takes_the_fast_way(account: SimulatedAccount) -> None:
    account.memory.knows(ADA.value, observations=["Prefers tea."])
    await recalled(account)
    (request,) = asked(account, "/Recall")
    assert not {"query", "conversationId"} & request.body.keys() and request.body["communicationsLimit"] == 0


async def test_a_query_finds_what_fits(account: SimulatedAccount) -> None:
    account.memory.knows(ADA.value, observations=["Prefers tea.", "Has a dog."])
    assert await recalled(account, "which dog") == (["Has a dog."], [])
    assert await recalled(account, "dog " * 1000) == (["Has a dog."], [])  # the API takes 1024 characters


async def test_scope_number_and_age_limit_what_is_asked(account: SimulatedAccount) -> None:
    account.memory.knows(ADA.value, {"firstName": "Ada"}, ["First.", "Second.", "Third."], ["Called."])
    assert await recalled(account, memory_items=2) == (["Third.", "Second."], ["Called."])
    assert await recalled(account, memory_scope="summaries") == ([], ["Called."])
    (ada,) = account.memory.profiles.values()
    ada.items["observations"][0]["occurredAt"] = "2020-01-01T00:00:00Z"
    assert await recalled(account) == (["Second.", "First."], ["Called."])
    requests = len(asked(account, "/Recall"))
    known = await memory(account, memory_scope="traits").recall(ada.id)
    assert len(known) == 1 and len(asked(account, "/Recall")) == requests


async def test_a_profile_that_was_merged_is_followed(account: SimulatedAccount) -> None:
    ada = account.memory.knows(ADA.value, {"firstName": "Ada"}, ["Prefers tea."])
    account.memory.merged["mem_profile_old"] = ada.id
    known = await memory(account).recall("mem_profile_old")
    assert [item.text for item in known.observations] == ["Prefers tea."] and known.traits


async def test_half_of_an_answer_is_better_than_none(account: SimulatedAccount) -> None:
    ada = account.memory.knows(ADA.value, {"firstName": "Ada"}, ["Prefers tea."])
    account.memory.fault = Fault(status=503, times=1)
    assert len(await memory(account).recall(ada.id)) == 1


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_an_error_is_raised_with_its_status(account: SimulatedAccount, status: int) -> None:
    ada = account.memory.knows(ADA.value)
    account.memory.fault = Fault(status=status)
    for asking in (memory(account).identify(ADA), memory(account).recall(ada.id), memory(account).forget(ADA)):
        with pytest.raises(TwilioRestException) as error:
            await asking
        assert error.value.status == status


async def test_an_unknown_store_is_an_error(account: SimulatedAccount) -> None:
    with pytest.raises(TwilioRestException) as error:
        await memory(account, memory_store_id="mem_store_" + "1" * 26).identify(ADA)
    assert error.value.status == 404


# --- writing -----------------------------------------------------------------------------------------------------


async def test_what_is_kept_can_be_read_a_little_later(account: SimulatedAccount) -> None:
    own = memory(account)
    profile = await own.create(ADA)
    await own.remember(profile, "Prefers tea.", "conv_conversation_1")
    await own.summarize(profile, "Asked about order 4711.")
    await settle(account)
    assert await recalled(account) == (["Prefers tea."], ["Asked about order 4711."])
    (request,) = asked(account, "/Observations")
    assert request.body["observations"][0]["conversationIds"] == ["conv_conversation_1"]


async def test_a_profile_is_created_once(account: SimulatedAccount) -> None:
    own = memory(account)
    assert await own.create(ADA) == await own.create(ADA) != await own.create(BOB)


async def test_a_long_text_is_cut_to_what_the_api_takes(account: SimulatedAccount) -> None:
    own = memory(account)
    profile = await own.create(ADA)
    await own.remember(profile, "tea " * 2000)
    await own.summarize(profile, "tea " * 2000)
    await settle(account)
    (observation,), (summary,) = await recalled(account)
    assert len(observation) == len(summary) == 4096


# --- forgetting ----------------------------------------------------------------------------------------------------


async def test_a_caller_is_forgotten_and_no_other(account: SimulatedAccount) -> None:
    account.memory.knows(ADA.value, {"firstName": "Ada"}, ["Prefers tea.", "Has a dog."], ["Called."])
    account.memory.knows(BOB.value, observations=["Prefers coffee."])
    assert await memory(account).forget(ADA) == Forgotten(1, 2, 1)
    assert account.memory.of(ADA.value) is None and account.memory.of(BOB.value)
    assert await memory(account).forget(ADA) == Forgotten()


async def test_all_pages_are_forgotten(account: SimulatedAccount) -> None:
    ada = account.memory.knows(ADA.value, observations=[f"Fact {number}." for number in range(7)])
    account.memory.page_size = 3
    assert await memory(account).forget(ADA) == Forgotten(1, 7, 0)
    assert ada.items["observations"] == []


@pytest.fixture
def agent(
    account: SimulatedAccount, environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """`agent`, whose requests reach the simulated account."""
    monkeypatch.setattr("app.log.configure_logging", lambda level: None)
    monkeypatch.setattr("app.memory.twilio.twilio_client", lambda own, _: twilio_client(own, account.transport))
    return lambda *args: CliRunner().invoke(cli, ["forget", *args])


def test_agent_forget_says_what_was_deleted(account: SimulatedAccount, agent: Callable[..., Any]) -> None:
    account.memory.knows(ADA.value, observations=["Prefers tea.", "Has a dog."], summaries=["Called."])
    result = agent(ADA.value)
    assert (
        result.exit_code == 0 and result.output == f"Deleted of {ADA.value}: 1 profile, 2 observations and 1 summary.\n"
    )
    assert agent(ADA.value).output == f"Nothing is known of {ADA.value}. Nothing was deleted.\n"


def test_agent_forget_takes_an_email_address_and_an_account_id(
    account: SimulatedAccount, agent: Callable[..., Any]
) -> None:
    account.memory.knows(ADA.value, {"email": "ada@example.com"})
    account.memory.knows(BOB.value, {"account_id": "4711"})
    assert agent("Ada@Example.com").output.startswith("Deleted of ada@example.com: 1 profile")
    assert agent("4711", "--account").output.startswith("Deleted of 4711: 1 profile")


@pytest.mark.parametrize("number", ["15005550006", "+0500", "Ada", ""])
def test_agent_forget_refuses_what_is_no_number(
    account: SimulatedAccount, agent: Callable[..., Any], number: str
) -> None:
    result = agent(number)
    assert result.exit_code == 2 and result.output.startswith(f"{number!r} is no phone number. Write + and")
    assert account.memory.requests == []


def test_agent_forget_says_that_memory_does_not_answer(account: SimulatedAccount, agent: Callable[..., Any]) -> None:
    account.memory.fault = Fault(status=503)
    result = agent(ADA.value)
    assert result.exit_code == 1 and "TwilioRestException 503" in result.output and "Try again" in result.output


def test_agent_forget_needs_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.log.configure_logging", lambda level: None)
    monkeypatch.delenv("TWILIO_MEMORY_STORE_ID", raising=False)
    result = CliRunner().invoke(cli, ["forget", ADA.value])
    assert result.exit_code == 2 and "TWILIO_MEMORY_STORE_ID is missing" in result.output
    assert "Nothing was deleted" in result.output


def test_agent_forget_is_a_command() -> None:
    assert "forget" in [command.__name__ for command in COMMANDS]


# --- the simulation is what the library takes it for ---------------------------------------------------------------


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


async def test_what_is_simulated_has_the_librarys_names(account: SimulatedAccount) -> None:
    ada = account.memory.knows(ADA.value, observations=["Prefers tea."], summaries=["Called."])
    store, product, version = memory(account).store_id, account.memory, None

    async def answer(method: str, path: str, body: Any = None) -> Any:
        _, own = await product.answer(Request(method, f"/v1/Stores/{store}/Profiles{path}", {}, body))
        return own

    one: Any = (version, {}, store, ada.id)
    for own, model in [
        (await answer("POST", "/Lookup", {"idType": "phone", "value": ADA.value}), LookupInstance(version, {}, store)),
        (await answer("POST", "", {"traits": {"Contact": {"phone": ADA.value}}}), ProfileInstance(*one)),
        (await answer("GET", f"/{ada.id}"), ProfileInstance(*one)),
        (await answer("POST", f"/{ada.id}/Recall", {}), RecallInstance(*one)),
        ((await answer("GET", f"/{ada.id}/Observations"))["observations"][0], ObservationInstance(*one)),
        ((await answer("GET", f"/{ada.id}/ConversationSummaries"))["summaries"][0], ConversationSummaryInstance(*one)),
    ]:
        assert own.keys() <= {camel(name) for name in vars(model)}


RECALLS = [
    ({}, 200),
    ({"communicationsLimit": 1}, 400),
    ({"query": "x" * 1025}, 400),
    ({"observationsLimit": 101}, 400),
    (None, 400),
]


@pytest.mark.parametrize(("body", "status"), RECALLS, ids=[str(body)[:25] for body, _ in RECALLS])
async def test_the_simulation_refuses_what_twilio_refuses(account: SimulatedAccount, body: Any, status: int) -> None:
    ada = account.memory.knows(ADA.value)
    path = f"/v1/Stores/{memory(account).store_id}/Profiles/{ada.id}/Recall"
    assert (await account.memory.answer(Request("POST", path, {}, body)))[0] == status


async def test_a_write_cannot_be_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    account = SimulatedAccount(pace=2)
    own = memory(account)
    await own.remember(await own.create(ADA), "Prefers tea.")
    assert await own.identify(ADA) is None
    await asyncio.sleep(0.6)
    assert await recalled(account) == (["Prefers tea."], [])
