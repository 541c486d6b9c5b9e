"""Phone numbers, TaskRouter and credentials of the simulated account, as the helper library reads them."""

from __future__ import annotations

import json

import httpx2
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client
from twilio.rest.conversations.v2.conversation import ConversationInstance
from twilio.rest.conversations.v2.participant import ParticipantInstance

from app.twilio_http import Http
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount


def client(account: SimulatedAccount, token: str = defaults.AUTH_TOKEN) -> Client:
    return Client(defaults.ACCOUNT_SID, token, http_client=Http(account.transport, 15.0, defaults.settings()))


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


@pytest.fixture
def twilio(account: SimulatedAccount) -> Client:
    return client(account)


async def test_a_workflow_holds_on_to_its_queues(account: SimulatedAccount, twilio: Client) -> None:
    account.workspaces.page_size = 1
    made = await twilio.taskrouter.v1.workspaces.create_async(
        friendly_name="agent", event_callback_url="https://a.example"
    )
    own = twilio.taskrouter.v1.workspaces(made.sid)
    queues = [await own.task_queues.create_async(friendly_name=name, target_workers="1 == 1") for name in "ab"]
    configuration = json.dumps({"task_routing": {"default_filter": {"queue": queues[0].sid}}})
    workflow = await own.workflows.create_async(friendly_name="escalations", configuration=configuration)
    assert [each.sid for each in await own.task_queues.list_async()] == [each.sid for each in queues]
    with pytest.raises(TwilioRestException):
        await own.task_queues(queues[0].sid).delete_async()
    await own.workflows(workflow.sid).delete_async()
    await own.task_queues(queues[0].sid).delete_async()
    assert [each.friendly_name for each in await own.activities.list_async()] == ["Offline", "Available", "Unavailable"]


async def test_numbers_are_listed_page_by_page_and_changed(account: SimulatedAccount, twilio: Client) -> None:
    account.numbers.page_size = 1
    account.numbers.add("+15005550002", trunk_sid="TK" + "1" * 32)
    first, second = await twilio.api.v2010.account.incoming_phone_numbers.list_async()
    assert (first.phone_number, second.trunk_sid) == (defaults.CALLED, "TK" + "1" * 32)
    own = twilio.api.v2010.account.incoming_phone_numbers(first.sid)
    changed = await own.update_async(voice_url="https://agent.example/twiml", voice_method="POST")
    assert (changed.voice_url, (await own.fetch_async()).voice_url) == ("https://agent.example/twiml",) * 2


async def test_a_wrong_auth_token_is_rejected(account: SimulatedAccount) -> None:
    stranger = client(account, "another-token")
    with pytest.raises(TwilioRestException) as error:
        await stranger.taskrouter.v1.workspaces("WS" + "0" * 32).fetch_async()
    assert error.value.status == 401


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer token"}])
async def test_a_request_without_credentials_is_rejected(account: SimulatedAccount, headers: dict[str, str]) -> None:
    async with httpx2.AsyncClient(transport=account.transport, headers=headers) as http:
        answer = await http.get("https://taskrouter.twilio.com/v1/Workspaces")
    assert answer.status_code == 401 and answer.json()["code"] == 20003


async def test_a_conversation_has_the_librarys_field_names(account: SimulatedAccount) -> None:
    id = account.conversations.begin("conv_configuration", "VOICE", "CA1", defaults.CALLER, defaults.CALLED)
    version = None
    for fields, model in [
        (account.conversations.records[id], ConversationInstance(version, {})),
        (account.conversations.people[id][0], ParticipantInstance(version, {}, id)),
    ]:
        assert fields.keys() - {"channelId"} <= {camel(name) for name in vars(model)}


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
