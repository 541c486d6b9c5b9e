"""Conversation Memory of the simulated account: field names, refusals, delays."""

from __future__ import annotations

from typing import Any

import pytest
from twilio.rest.memory.v1.conversation_summary import ConversationSummaryInstance
from twilio.rest.memory.v1.lookup import LookupInstance
from twilio.rest.memory.v1.observation import ObservationInstance
from twilio.rest.memory.v1.profile import ProfileInstance
from twilio.rest.memory.v1.recall import RecallInstance

from app.memory.twilio.tests.test_twilio import ADA, account, memory, recalled
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.memory import READABLE_AFTER
from kit.simulated_twilio.product import Request

__all__ = ["account"]  # a fixture


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


async def test_the_simulation_has_the_librarys_field_names(account: SimulatedAccount) -> None:
    ada = account.memory.add_caller(ADA.value, observations=["Prefers tea."], summaries=["Called."])
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
async def test_requests_that_twilio_refuses_are_refused(account: SimulatedAccount, body: Any, status: int) -> None:
    ada = account.memory.add_caller(ADA.value)
    path = f"/v1/Stores/{memory(account).store_id}/Profiles/{ada.id}/Recall"
    assert (await account.memory.answer(Request("POST", path, {}, body)))[0] == status


async def test_a_write_cannot_be_read_at_once(account: SimulatedAccount) -> None:
    account.clock.stop()
    own = memory(account)
    await own.add_observation(await own.find_or_create_profile(ADA), "Prefers tea.")
    assert await own.find_profile(ADA) is None
    account.clock.advance(READABLE_AFTER)
    assert await recalled(account) == (["Prefers tea."], [])
