"""A call is linked to its conversation, which is closed when the call ends."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from app.connection import Connection
from app.orchestrator import Orchestrator
from app.store import InProcess
from kit import defaults
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, calls_of
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.conversations import VISIBLE_AFTER
from kit.simulated_twilio.memory import EXTRACTED_AFTER
from kit.simulated_twilio.product import Fault
from kit.voice_fixtures import Dial

YES = {"says": "Yes."}
until = partial(wait_until, problem="the condition was not met")


class PatientOrchestrator(Orchestrator):
    """Looks a conversation up until it is listed, with short delays."""

    lookup_delays = (0, *[0.002] * 5000)
    close_delays = (0, 0, 0)
    shutdown_timeout = 60.0


class ImpatientOrchestrator(PatientOrchestrator):
    """Looks a conversation up three times at once."""

    lookup_delays = (0, 0, 0)


class AbruptOrchestrator(PatientOrchestrator):
    """Does not wait for requests in progress when the server stops."""

    shutdown_timeout = 0


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


@pytest.fixture
def start(dial: Dial, account: SimulatedAccount) -> Dial:
    """Call an agent whose only capability is Orchestrator."""
    return partial(dial, account=account, capabilities=[PatientOrchestrator])


def status(account: SimulatedAccount, call: Call) -> str:
    return str(account.conversations.of(call.sid)["status"])


async def test_the_twiml_names_the_configuration(start: Dial, account: SimulatedAccount) -> None:
    call = await start(YES)
    assert call.attribute("conversationConfiguration", "") == "conv_configuration_" + "0" * 26


async def test_a_call_is_linked_while_it_goes_on(start: Dial, account: SimulatedAccount) -> None:
    store = InProcess()
    call = await start(YES, store=store)
    await until(lambda: call.session.conversation_id)
    conversation = account.conversations.of(call.sid)["id"]
    assert call.session.conversation_id == conversation
    customer = account.memory.of(defaults.CALLER)
    assert customer and call.session.profile_id == customer.id
    assert await store.get(f"conversation:{conversation}") == call.sid


async def test_a_conversation_that_is_listed_late_is_linked(start: Dial, account: SimulatedAccount) -> None:
    account.clock.stop()
    call = await start(YES)
    assert (await call.says("Hello")).text == "Yes." and call.session.conversation_id is None
    account.clock.advance(VISIBLE_AFTER)
    await until(lambda: call.session.conversation_id)


@pytest.mark.parametrize("failure", [429, 500, 503])
async def test_a_lookup_is_repeated_after_an_error(
    start: Dial, account: SimulatedAccount, logged: Callable[[], str], failure: int
) -> None:
    account.conversations.fault = Fault(status=failure, times=2)
    call = await start(YES)
    await until(lambda: call.session.conversation_id)
    assert logged().count("conversation.lookup_failed") == 2 and f'"status": {failure}' in logged()


async def test_a_conversation_that_is_never_found_is_logged_and_the_call_goes_on(
    start: Dial, account: SimulatedAccount, logged: Callable[[], str]
) -> None:
    account.clock.stop()
    call = await start(YES, capabilities=[ImpatientOrchestrator])
    await until(lambda: "conversation.not_found" in logged())
    assert (await call.says("Hello")).text == "Yes." and call.session.conversation_id is None


async def test_an_answer_does_not_wait_for_the_lookup(start: Dial, account: SimulatedAccount) -> None:
    account.conversations.fault = Fault(delay=600)
    call = await start(YES, capabilities=[AbruptOrchestrator])
    assert (await call.says("Hello")).text == "Yes."
    (orchestrator,) = call.app.state.conversations.capabilities
    assert call.sid in orchestrator.linking


async def test_the_conversation_is_closed_when_the_call_ends(start: Dial, account: SimulatedAccount) -> None:
    call = await start(YES)
    await until(lambda: call.session.conversation_id)
    assert status(account, call) == "ACTIVE"
    await call.hangs_up()
    await until(lambda: status(account, call) == "CLOSED")
    patched = [request for request in account.conversations.requests if request.method == "PATCH"]
    assert [request.body for request in patched] == [{"status": "CLOSED"}]


async def test_the_conversation_of_a_call_too_short_to_be_linked_is_closed(
    start: Dial, account: SimulatedAccount
) -> None:
    account.clock.stop()
    call = await start(YES)
    await call.hangs_up()
    assert status(account, call) == "ACTIVE"
    account.clock.advance(VISIBLE_AFTER)
    await until(lambda: status(account, call) == "CLOSED")


async def test_closing_is_repeated_after_an_error(start: Dial, account: SimulatedAccount) -> None:
    call = await start(YES)
    await until(lambda: call.session.conversation_id)
    account.conversations.fault = Fault(status=503, times=2)
    await call.hangs_up()
    await until(lambda: status(account, call) == "CLOSED")


async def test_the_end_does_not_wait_for_the_closing(start: Dial, account: SimulatedAccount) -> None:
    call = await start(YES, capabilities=[AbruptOrchestrator])
    await until(lambda: call.session.conversation_id)
    account.conversations.fault = Fault(delay=600)
    await call.hangs_up()
    assert status(account, call) == "ACTIVE"


async def test_a_server_that_stops_closes_the_conversations_of_its_calls(account: SimulatedAccount) -> None:
    app = build_app(YES, account=account, capabilities=[PatientOrchestrator])
    async with app.router.lifespan_context(app):
        conversation = account.conversations.begin(
            "conv_configuration", "VOICE", "CA1", defaults.CALLER, defaults.CALLED
        )
        session = await calls_of(app).start(
            "CA1", caller=defaults.CALLER, called=defaults.CALLED, connection=Connection()
        )
        await until(lambda: session.conversation_id)
    assert account.conversations.records[conversation]["status"] == "CLOSED"


async def test_a_resumed_call_is_not_linked_twice(start: Dial, account: SimulatedAccount) -> None:
    call = await start(YES)
    await until(lambda: call.session.conversation_id)
    requests = len(account.conversations.requests)
    await call.drops()
    await call.says("Hello")
    assert len(account.conversations.requests) == requests


async def test_a_resumed_call_without_a_conversation_is_linked(
    start: Dial, account: SimulatedAccount, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    account.conversations.fault = Fault(status=503)
    call = await start(YES, capabilities=[ImpatientOrchestrator])
    await until(lambda: "conversation.not_found" in logged())
    account.clock.advance(VISIBLE_AFTER)
    account.conversations.fault = Fault()
    await call.drops()
    await until(lambda: call.session.conversation_id)


async def test_memories_are_extracted_from_the_closed_conversation(dial: Dial, account: SimulatedAccount) -> None:
    pytest.importorskip("app.memory.twilio")
    Memory = pytest.importorskip("app.memory").Memory

    start = partial(dial, YES, account=account, capabilities=[PatientOrchestrator, Memory])
    account.set_state({"memory": {"extracts": {defaults.CALLER: ["Is moving to Berlin."]}}})
    first = await start()
    await first.says("I am moving to Berlin")
    await first.hangs_up()
    await until(lambda: (ada := account.memory.of(defaults.CALLER)) and ada.items["observations"])
    account.clock.advance(EXTRACTED_AFTER)
    second = await start()
    await second.says("Hello")
    assert "Is moving to Berlin." in str(second.session.turn.messages[0].instructions)
    customer = account.memory.of(defaults.CALLER)
    assert customer and second.session.profile_id == customer.id
