"""How a call finds its conversation at Twilio, and leaves it closed: memory is extracted from closed ones only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from twilio.rest.conversations.v2.conversation import ConversationInstance
from twilio.rest.conversations.v2.participant import ParticipantInstance

from app.connection import Connection
from app.main import create_app
from app.orchestrator import Orchestrator
from app.store import InProcess
from kit import defaults
from kit.caller import Call, calls_of
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.product import Fault
from kit.voice_fixtures import Dial

YES = {"says": "Yes."}


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.registry.CAPABILITIES", [Orchestrator])
    monkeypatch.setattr("app.orchestrator.LOOKS", (0, *[0.01] * 20))
    monkeypatch.setattr("app.orchestrator.CLOSINGS", (0, 0.01, 0.01))


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0.005)


def status(account: SimulatedAccount, call: Call) -> str:
    return str(account.conversations.of(call.sid)["status"])


async def test_the_twiml_names_the_configuration(dial: Dial, account: SimulatedAccount) -> None:
    call = await dial(YES, account=account)
    assert call.attribute("conversationConfiguration", "") == "conv_configuration_" + "0" * 26


async def test_a_call_is_linked_while_it_goes_on(dial: Dial, account: SimulatedAccount) -> None:
    store = InProcess()
    call = await dial(YES, account=account, store=store)
    await until(lambda: call.session.conversation_id)
    conversation = account.conversations.of(call.sid)["id"]
    assert call.session.conversation_id == conversation
    customer = account.memory.of(defaults.CALLER)
    assert customer and call.session.profile_id == customer.id
    assert await store.get(f"conversation:{conversation}") == call.sid


async def test_a_conversation_that_is_listed_late_is_found(
    dial: Dial, account: SimulatedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.simulated_twilio.conversations.VISIBLE_AFTER", 1e9)
    monkeypatch.setattr("app.orchestrator.LOOKS", (0.01,) * 500)
    call = await dial(YES, account=account)
    assert (await call.says("Hello")).text == "Yes." and call.session.conversation_id is None
    for conversation in account.conversations.known.values():
        conversation["visibleAt"] = 0.0
    await until(lambda: call.session.conversation_id)


@pytest.mark.parametrize("failure", [429, 500, 503])
async def test_an_error_is_asked_again(
    dial: Dial, account: SimulatedAccount, logged: Callable[[], str], failure: int
) -> None:
    account.conversations.fault = Fault(status=failure, times=2)
    call = await dial(YES, account=account)
    await until(lambda: call.session.conversation_id)
    assert logged().count("conversation.lookup_failed") == 2 and f'"status": {failure}' in logged()


async def test_a_conversation_that_is_never_found_is_logged_and_the_call_goes_on(
    dial: Dial, account: SimulatedAccount, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    monkeypatch.setattr("kit.simulated_twilio.conversations.VISIBLE_AFTER", 1e9)
    call = await dial(YES, account=account)
    await until(lambda: "conversation.not_found" in logged())
    assert (await call.says("Hello")).text == "Yes." and call.session.conversation_id is None


async def test_a_slow_twilio_does_not_hold_up_an_answer(dial: Dial, account: SimulatedAccount) -> None:
    account.conversations.fault = Fault(delay=3)
    call = await dial(YES, account=account)
    turn = await call.says("Hello")
    assert turn.first and turn.first < 1500
    assert turn.text == "Yes."
    account.conversations.fault = Fault()


async def test_the_conversation_is_closed_when_the_call_ends(dial: Dial, account: SimulatedAccount) -> None:
    call = await dial(YES, account=account)
    await until(lambda: call.session.conversation_id)
    assert status(account, call) == "ACTIVE"
    await call.hangs_up()
    await until(lambda: status(account, call) == "CLOSED")
    patched = [request for request in account.conversations.requests if request.method == "PATCH"]
    assert [request.body for request in patched] == [{"status": "CLOSED"}]


async def test_a_call_too_short_to_be_linked_is_closed_all_the_same(
    dial: Dial, account: SimulatedAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kit.simulated_twilio.conversations.VISIBLE_AFTER", 80.0)
    call = await dial(YES, account=account)
    await call.hangs_up()
    assert status(account, call) == "ACTIVE"
    await until(lambda: status(account, call) == "CLOSED")


async def test_closing_is_tried_again(dial: Dial, account: SimulatedAccount) -> None:
    call = await dial(YES, account=account)
    await until(lambda: call.session.conversation_id)
    account.conversations.fault = Fault(status=503, times=2)
    await call.hangs_up()
    await until(lambda: status(account, call) == "CLOSED")


async def test_a_caller_does_not_wait_for_the_closing(dial: Dial, account: SimulatedAccount) -> None:
    call = await dial(YES, account=account)
    await until(lambda: call.session.conversation_id)
    account.conversations.fault = Fault(delay=0.5)
    started = asyncio.get_running_loop().time()
    await call.hangs_up()
    assert asyncio.get_running_loop().time() - started < 0.2
    account.conversations.fault = Fault()


async def test_a_server_that_stops_closes_what_it_served(account: SimulatedAccount) -> None:
    app = create_app(defaults.settings(), [scripted(YES)], [], transport=account.transport)
    async with app.router.lifespan_context(app):
        conversation = account.conversations.begin(
            "conv_configuration", "VOICE", "CA1", defaults.CALLER, defaults.CALLED
        )
        session = await calls_of(app).start(
            "CA1", caller=defaults.CALLER, called=defaults.CALLED, connection=Connection()
        )
        await until(lambda: session.conversation_id)
    assert account.conversations.known[conversation]["status"] == "CLOSED"


async def test_a_call_that_comes_back_is_not_linked_twice(dial: Dial, account: SimulatedAccount) -> None:
    call = await dial(YES, account=account)
    await until(lambda: call.session.conversation_id)
    asked = len(account.conversations.requests)
    await call.drops()
    await call.says("Hello")
    assert len(account.conversations.requests) == asked


async def test_a_call_that_comes_back_unlinked_is_linked(
    dial: Dial, account: SimulatedAccount, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    account.conversations.fault = Fault(status=503)
    call = await dial(YES, account=account)
    await until(lambda: "conversation.not_found" in logged())
    account.conversations.fault = Fault()
    await call.drops()
    await until(lambda: call.session.conversation_id)


async def test_what_is_simulated_has_the_librarys_names(dial: Dial, account: SimulatedAccount) -> None:
    call = await dial(YES, account=account)
    await until(lambda: call.session.conversation_id)
    conversation, version = account.conversations.of(call.sid)["id"], None
    for known, model in [
        (account.conversations.known[conversation], ConversationInstance(version, {})),
        (account.conversations.people[conversation][0], ParticipantInstance(version, {}, conversation)),
    ]:
        ours = {name for name in known if name not in ("channelId", "visibleAt")}
        assert ours <= {camel(name) for name in vars(model)}


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
