"""The control planes of the simulated account, as the helper library reads them."""

from __future__ import annotations

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client
from twilio.rest.conversations.v2.configuration import ConfigurationList
from twilio.rest.intelligence.v3.configuration import ConfigurationList as AnalysisList
from twilio.rest.memory.v1.store import StoreList

from app.twilio_api import list_all, twilio_client
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.operations import OPERATION_TIME

STORE = "mem_store_" + "9" * 26
WANTED = {
    "displayName": "agent",
    "description": "An agent",
    "conversationGroupingType": "GROUP_BY_PROFILE",
    "memoryStoreId": STORE,
    "channelSettings": {"VOICE": {"statusTimeouts": {"inactive": 1, "closed": 5}}},
}


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


@pytest.fixture
def twilio(account: SimulatedAccount) -> Client:
    return twilio_client(defaults.settings(), account.transport)  # type: ignore[arg-type]


async def test_an_unknown_api_key_is_rejected(account: SimulatedAccount) -> None:
    twilio = twilio_client(defaults.settings(api_key="SK" + "f" * 32), account.transport)  # type: ignore[arg-type]
    with pytest.raises(TwilioRestException) as error:
        await list_all(twilio.conversations.v2.configurations)
    assert error.value.status == 401


async def test_a_memory_store_becomes_active_after_its_operation(account: SimulatedAccount, twilio: Client) -> None:
    account.clock.stop()
    api = twilio.memory.v1
    accepted = await api.stores.create_async(StoreList.ServiceRequest({"displayName": "agent", "description": "x"}))
    assert accepted.id is None
    operation = accepted.status_url.rpartition("/")[2]
    assert (await api.operations(operation).fetch_async()).status == "PENDING"
    assert await list_all(api.stores) == []
    account.clock.advance(OPERATION_TIME)
    done = await api.operations(operation).fetch_async()
    assert (done.status, (await api.stores(done.result["id"]).fetch_async()).status) == ("COMPLETED", "QUEUED")
    account.clock.advance(OPERATION_TIME)
    store = await api.stores(done.result["id"]).fetch_async()
    assert store.status == "ACTIVE" and await list_all(api.stores) == [store.id]
    await api.stores(store.id).delete_async()
    assert await list_all(api.stores) == []


async def test_a_configuration_takes_a_wrong_store_and_keeps_its_grouping(
    account: SimulatedAccount, twilio: Client
) -> None:
    api = twilio.conversations.v2
    wanted = ConfigurationList.CreateConfigurationRequest(WANTED)
    accepted = await api.configurations.create_async(create_configuration_request=wanted)
    operation = accepted.status_url.rpartition("/")[2]
    account.clock.stop()
    account.clock.advance(OPERATION_TIME)
    done = await api.operations(operation).fetch_async()
    own = api.configurations(done.related["configurationId"])
    assert (await own.fetch_async()).memory_store_id == STORE
    patch = ConfigurationList.PatchConfigurationRequest
    with pytest.raises(TwilioRestException):
        other = {"conversationGroupingType": "GROUP_BY_PARTICIPANT_ADDRESSES"}
        await own.patch_async(patch_configuration_request=patch(other))
    texts = {"channelSettings": {"SMS": {"captureRules": [{"from": "*", "to": defaults.CALLED}]}}}
    await own.patch_async(patch_configuration_request=patch(texts))
    assert (await own.fetch_async()).channel_settings.keys() == {"VOICE", "SMS"}
    (listed,) = await list_all(api.configurations)
    assert listed.display_name == "agent" and listed.memory_store_id is None


async def test_a_rule_names_operators_that_exist(account: SimulatedAccount, twilio: Client) -> None:
    api = twilio.intelligence.v3
    webhook = {"type": "WEBHOOK", "method": "POST", "url": "https://agent.example/webhooks/intelligence"}
    rule = {"triggers": [{"on": "COMMUNICATION"}], "actions": [webhook], "context": {}}
    names = {each.display_name: each.id for each in await list_all(api.operators)}
    kind = AnalysisList.CreateConfigurationRequest
    body = {"displayName": "agent", "description": "x", "rules": [{**rule, "operators": [{"id": names["Sentiment"]}]}]}
    made = await api.configurations.create_async(kind(body))
    assert (await api.configurations(made.id).fetch_async()).rules[0]["operators"] == [{"id": names["Sentiment"]}]
    with pytest.raises(TwilioRestException):
        await api.configurations.create_async(kind({**body, "rules": [{**rule, "operators": [{"id": "unknown"}]}]}))
