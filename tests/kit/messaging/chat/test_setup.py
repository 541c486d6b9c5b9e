"""`agent setup` makes the chat channel: a service of Conversations (classic), and its bridge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from kit.setup.api import SetupError
from tests.kit.account import Account, Killed
from tests.kit.account import state as state_of

VARIABLE, CONFIGURATION = "TWILIO_CONVERSATIONS_SERVICE_SID", "TWILIO_CONVERSATION_CONFIGURATION_ID"
THEIRS = "conv_configuration_" + "7" * 26
KINDS = ("chat service", "chat bridge")


@pytest.fixture
def account(tmp_path: Path) -> Account:
    return Account(tmp_path)


def configuration(account: Account) -> dict[str, Any]:
    """The conversation configuration that `.env` names."""
    id = dotenv_values(account.env)[CONFIGURATION]
    return account.simulated.conversation_configurations.records[str(id)]


def theirs(account: Account, **fields: Any) -> dict[str, Any]:
    account.sets(**{CONFIGURATION: THEIRS})
    return account.simulated.conversation_configurations.add(THEIRS, description="Theirs", **fields)


async def test_chats_reach_the_configuration_and_are_closed_some_time(account: Account) -> None:
    """Without a bridge there is no chat; without a timeout none is ever closed, and remembered."""
    assert {kind: action for kind, action in (await account.plan()).items() if kind in KINDS} == {
        "chat service": "create",
        "chat bridge": "change",
    }
    await account.apply()
    (service,) = account.simulated.chat_services.records
    assert configuration(account)["conversationsV1Bridge"] == {"serviceId": service}
    chat = configuration(account)["channelSettings"]["CHAT"]
    assert chat["statusTimeouts"]["closed"] and "captureRules" not in chat
    assert dotenv_values(account.env)[VARIABLE] == service
    assert await account.broken() == [] and set((await account.plan()).values()) == {"keep"}


async def test_undo_takes_the_bridge_and_the_service_away(account: Account) -> None:
    theirs(account, channelSettings={"SMS": {"statusTimeouts": {"closed": 9}}})
    before = state_of(account.simulated)
    await account.apply()
    await account.undo()
    assert state_of(account.simulated) == before and not configuration(account)["conversationsV1Bridge"]


async def test_the_bridge_of_a_configuration_stays(account: Account) -> None:
    """Its service has the chats of an application that is in use."""
    service = account.simulated.chat_services.add("in use")["sid"]
    theirs(account, conversationsV1Bridge={"serviceId": service})
    await account.apply()
    assert configuration(account)["conversationsV1Bridge"] == {"serviceId": service}
    await account.undo()
    assert list(account.simulated.chat_services.records) == [service]
    assert configuration(account)["conversationsV1Bridge"] == {"serviceId": service}


async def test_a_named_service_is_bridged(account: Account) -> None:
    service = account.simulated.chat_services.add("named")["sid"]
    account.sets(**{VARIABLE: service})
    await account.apply()
    assert configuration(account)["conversationsV1Bridge"] == {"serviceId": service}
    assert list(account.simulated.chat_services.records) == [service]


async def test_verify_names_a_bridge_that_is_gone(account: Account) -> None:
    await account.apply()
    configuration(account)["conversationsV1Bridge"] = None
    assert await account.broken() == [("chat bridge", "conversationsV1Bridge")]


async def test_a_service_has_one_configuration(account: Account) -> None:
    """As Twilio's API refuses a second one."""
    service = account.simulated.chat_services.add("named")["sid"]
    account.simulated.conversation_configurations.add(THEIRS, conversationsV1Bridge={"serviceId": service})
    account.sets(**{VARIABLE: service})
    with pytest.raises(SetupError, match="bridged to another configuration"):
        await account.apply()


async def test_an_interrupted_apply_makes_no_second_service(account: Account) -> None:
    def killed(request: Any) -> None:
        if request.method == "POST" and request.url.path == "/v1/Services":
            raise Killed

    account.wire.after = killed
    with pytest.raises(Killed):
        await account.apply()
    account.wire.after = lambda request: None
    await account.apply()
    assert len(account.simulated.chat_services.records) == 1 and await account.broken() == []
