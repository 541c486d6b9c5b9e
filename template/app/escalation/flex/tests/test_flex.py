"""Transfer of a text conversation: announcements, silence of the agent, and no available worker."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from pydantic_ai import messages as m
from twilio.base.exceptions import TwilioRestException
from twilio.rest.flex_api.v1.interaction import InteractionInstance
from twilio.rest.taskrouter.v1.workspace.task import TaskInstance
from typer.testing import CliRunner

from app.capability import Timeouts
from app.escalation import Escalation
from app.escalation.flex import FlexTransfer, channel_of
from app.escalation.handoff import handoff
from app.escalation.record import Payload, Record, Records, State
from app.messaging.tests.test_messaging import HeldModel
from app.messaging.texts import texts
from app.session import Session, load_session, this_session
from app.store import InProcess
from app.twilio_api import twilio_client
from kit import cli, defaults
from kit.activity import outcomes, wait_until
from kit.agent_app import build_app
from kit.local_server import serve
from kit.plugin import silence_logs
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.flex import wrong
from kit.simulated_twilio.product import Fault, identifier
from kit.simulated_twilio.taskrouter import WORKSPACE
from kit.testing import Reach
from kit.texter import Texter

ASKS = {"hears": "person", "calls": {"transfer_to_human": {"reason": "Billing dispute", "summary": "Charged twice."}}}
YES = {"hears": "", "says": "Yes."}
NO_WORKER = f"{handoff.NO_WORKER} {handoff.LATER}"
PLEASE = "A person, please"


@pytest.fixture
def reach(reach: Reach) -> Reach:
    """A customer of an agent that transfers to a human when asked for a person."""

    async def begin(*rules: dict[str, Any], **options: Any) -> Texter:
        return await reach(*(rules or (ASKS, YES)), **options)

    return begin


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.messaging.outbox.RETRY_DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("app.messaging.inbox.POLL_INTERVAL", 0.005)
    monkeypatch.setattr("app.escalation.flex.RETRY_DELAYS", (0.0, 0.0))
    monkeypatch.setattr("app.escalation.flex.EVENT_WAIT", 0.0)


@pytest.fixture(autouse=True)
def sensitive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another list than that of agent/handoff.py, which may be empty."""
    monkeypatch.setattr(handoff, "SENSITIVE", ["lawyer"])


@pytest.fixture
def followed_up(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The arguments of each call of `follow_up` of agent/handoff.py."""
    calls: list[Any] = []

    async def follow_up(*args: Any) -> None:
        calls.append(args)

    monkeypatch.setattr(handoff, "follow_up", follow_up)
    return calls


def escalation(customer: Texter) -> Escalation:
    return next(each for each in customer.app.state.conversations.capabilities if isinstance(each, Escalation))


async def record(customer: Texter) -> Record:
    (conversation,) = {message["conversationId"] for message in customer.account.conversations.messages}
    found = await escalation(customer).records.get(conversation)
    assert found
    return found


async def state(customer: Texter) -> State:
    return (await record(customer)).state


async def says(customer: Texter, *texts: str) -> list[str]:
    """Write `texts` one by one. Returns the replies, and other texts until the app is idle."""
    for text in texts:
        await customer.posts(customer.writes(text))
        await customer.wait_for_app()
    return customer.unread()


async def becomes(customer: Texter, event: str) -> list[str]:
    """Send an event of TaskRouter. Returns the texts that follow."""
    await customer.account.flex.update_task(event)
    await customer.wait_for_app()
    return customer.unread()


def tasks(customer: Texter) -> list[dict[str, Any]]:
    return list(customer.account.taskrouter.tasks.values())


def attributes(customer: Texter) -> dict[str, Any]:
    """Those of the only task."""
    (task,) = tasks(customer)
    return dict(json.loads(task["attributes"]))


async def outside(customer: Texter) -> Session:
    """The session as a signal loads it, in any server process."""
    found = await escalation(customer).transfers[-1]._session(customer.conversation)  # type: ignore[attr-defined]
    assert isinstance(found, Session)
    return found


async def remembered(customer: Texter) -> list[str]:
    stored = await customer.messaging.store.get(f"session:{customer.conversation}")
    session = load_session(customer.conversation, json.loads(stored or ""), customer.messaging.now)
    parts = [part for message in session.history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, m.UserPromptPart | m.TextPart)]


# --- transfer to a human --------------------------------------------------------------------------------------------


async def test_a_request_for_a_human_is_confirmed_and_becomes_a_task(reach: Reach) -> None:
    customer = await reach()
    assert await says(customer, PLEASE) == [handoff.CONNECTING]
    found = attributes(customer)
    assert (found["channel"], found["reason_code"], found["summary"]) == ("sms", "billing_dispute", "Charged twice.")
    assert found["conversation_id"] == customer.conversation
    assert await state(customer) is State.QUEUED
    assert await remembered(customer) == [PLEASE, handoff.CONNECTING]


async def test_the_task_has_routing_hints_priority_and_timeout(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "routing", lambda session, reason: {"skills": ["gold"], "priority": 7, "vip": True})
    customer = await reach(queue_timeout=60, task_channel="sms")
    await says(customer, PLEASE)
    (task,) = tasks(customer)
    assert (task["priority"], task["timeout"], task["task_channel_unique_name"]) == (7, 60, "sms")
    assert task["workflow_sid"] == defaults.settings().model_dump()["workflow_sid"]
    assert (attributes(customer)["skills"], attributes(customer)["vip"]) == (["gold"], True)


async def test_text_before_the_tool_call_comes_first_in_one_message(reach: Reach) -> None:
    customer = await reach({"says": "Let me see. ", "calls": {"transfer_to_human": {}}, "then": "Never said."})
    (reply,) = await says(customer, PLEASE)
    assert reply.split() == f"Let me see. {handoff.CONNECTING}".split()


async def test_a_sensitive_topic_does_not_wait_for_the_model(reach: Reach) -> None:
    customer = await reach({"hangs": True})
    assert await says(customer, f"I must say {handoff.SENSITIVE[0].upper()} today") == [handoff.CONNECTING]
    assert (attributes(customer)["reason_code"], attributes(customer)["summary"]) == ("sensitive_topic", "")


async def test_failures_in_a_row_bring_a_human(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "FAILURES", 2)
    customer = await reach({"fails": True})
    assert await says(customer, "One", "Two", "Three") == [texts.APOLOGY, texts.APOLOGY, handoff.CONNECTING]
    assert attributes(customer)["reason_code"] == "repeated_failure"


async def test_a_slow_flex_does_not_delay_the_reply(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = await reach({"hangs": True})
    answer, answers = customer.account.flex.answer, asyncio.Event()

    async def answer_later(request: Any) -> Any:
        await answers.wait()
        return await answer(request)

    monkeypatch.setattr(customer.account.flex, "answer", answer_later)
    await customer.posts(customer.writes(handoff.SENSITIVE[0]))
    assert await customer.reads() == handoff.CONNECTING
    assert tasks(customer) == []
    answers.set()
    await customer.wait_for_app()
    assert (len(tasks(customer)), await state(customer)) == (1, State.QUEUED)


async def test_an_announcement_that_cannot_be_sent_does_not_stop_the_transfer(reach: Reach) -> None:
    customer = await reach()
    await says(customer, "Hello")
    customer.account.conversations.refusals = [400]
    session = await outside(customer)
    assert await session.escalate("falling_sentiment")
    await customer.wait_for_app()
    assert (len(tasks(customer)), await state(customer)) == (1, State.QUEUED)


# --- silence of the agent -------------------------------------------------------------------------------------------


async def test_a_waiting_customer_is_reassured_once(reach: Reach) -> None:
    customer = await reach()
    await says(customer, PLEASE)
    assert await says(customer, "Hello?", "Are you there?", PLEASE) == [handoff.WAITING_IN_WRITING]
    assert len(tasks(customer)) == 1
    assert customer.messaging.counts == {"received": 4, "answered": 2, "left to a human": 2}
    assert (await remembered(customer))[-2:] == [
        "Are you there?",
        PLEASE,
    ]  # for a later reply of the agent


async def test_the_agent_is_silent_when_a_human_has_accepted(reach: Reach) -> None:
    customer = await reach()
    await says(customer, PLEASE)
    assert await becomes(customer, "accepted") == []
    assert await state(customer) is State.ACCEPTED
    assert await says(customer, "Hello", handoff.SENSITIVE[0], PLEASE) == []
    await customer.posts(customer.writes(None))  # a picture, which the agent could not see
    await customer.wait_for_app()
    assert customer.unread() == []
    assert (len(tasks(customer)), customer.messaging.counts["left to a human"]) == (1, 4)


async def test_the_agent_answers_the_next_conversation_when_the_human_has_finished(reach: Reach) -> None:
    customer = await reach()
    await says(customer, PLEASE)
    await becomes(customer, "accepted")
    assert await becomes(customer, "completed") == []
    assert await state(customer) is State.COMPLETED
    assert await says(customer, "A new question") == ["Yes."]
    assert len(customer.account.conversations.records) == 2


async def test_the_agent_stays_silent_when_the_conversation_cannot_be_closed(reach: Reach) -> None:
    customer = await reach()
    await says(customer, PLEASE)
    await becomes(customer, "accepted")
    customer.account.conversations.fault = Fault(status=500, times=1)
    await becomes(customer, "completed")
    assert await says(customer, "Thank you") == []


async def test_a_request_before_the_server_stops_becomes_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    account, stops = SimulatedAccount(), asyncio.Event()
    answer = account.flex.answer

    class Stopping(Escalation):
        async def close(self) -> None:
            stops.set()
            await super().close()

    async def answer_later(request: Any) -> Any:
        await stops.wait()
        for _ in range(50):  # longer than one pass of the event loop
            await asyncio.sleep(0)
        return await answer(request)

    monkeypatch.setattr(account.flex, "answer", answer_later)
    app = build_app(ASKS, account=account, capabilities=[Stopping])
    async with serve(app) as address:
        customer = Texter(app, address, account, defaults.CALLER, "SMS")
        account.conversations.subscriber = account.flex.subscriber = None  # no webhook to a server that stops
        await customer.posts(customer.writes(PLEASE))
    await customer.aclose()
    assert customer.unread() == [handoff.CONNECTING]
    assert len(account.taskrouter.tasks) == 1


async def test_an_escalation_is_stored_for_days(reach: Reach) -> None:
    kept: dict[str, float] = {}

    class Noting(InProcess):
        async def put(self, key: str, value: str, seconds: float) -> None:
            kept[key.partition(":")[0]] = seconds
            await super().put(key, value, seconds)

    customer = await reach(store=Noting())
    await says(customer, PLEASE)
    assert kept["escalation"] >= kept["session"] > 6 * 24 * 3600


async def test_another_server_is_silent_too(reach: Reach) -> None:
    account, store = SimulatedAccount(), InProcess()
    one = await reach(account=account, store=store)
    other = await reach(account=account, store=store)
    await says(one, PLEASE)
    await becomes(other, "accepted")
    assert await says(other, "Hello") == []
    assert other.messaging.counts["left to a human"] == 1


# --- no worker accepts ----------------------------------------------------------------------------------------------


async def test_without_a_worker_the_agent_tells_the_customer_and_answers_again(
    reach: Reach, followed_up: list[Any]
) -> None:
    customer = await reach()
    await says(customer, PLEASE)
    assert await becomes(customer, "no_worker") == [NO_WORKER]
    found = await record(customer)
    assert (found.state, found.way_out) == (State.TIMED_OUT, "callback")
    ((caller, task, recording),) = followed_up
    assert (caller, task["reason_code"], recording) == (defaults.CALLER, "billing_dispute", None)
    assert await says(customer, "And now?") == ["Yes."]
    assert await remembered(customer) == [PLEASE, handoff.CONNECTING, NO_WORKER, "And now?", "Yes."]


async def test_a_human_can_be_asked_for_again(reach: Reach) -> None:
    customer = await reach()
    await says(customer, PLEASE)
    (first,) = tasks(customer)
    await becomes(customer, "no_worker")
    assert await says(customer, PLEASE, "Hello?") == [handoff.CONNECTING, handoff.WAITING_IN_WRITING]
    await customer.account.flex.send(first, "task.canceled")  # late, and about the first time
    await customer.wait_for_app()
    assert (customer.unread(), await state(customer)) == ([], State.QUEUED)
    await becomes(customer, "accepted")
    assert await state(customer) is State.ACCEPTED


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_when_flex_refuses_the_agent_tells_the_customer_and_answers_again(
    reach: Reach, followed_up: list[Any], logged: Callable[[], str], status: int
) -> None:
    customer = await reach()
    customer.account.flex.fault = Fault(status=status)
    assert await says(customer, PLEASE) == [handoff.CONNECTING, NO_WORKER]
    assert len(customer.account.flex.requests) == 1  # whether it has done it is not certain: never twice
    assert (await state(customer), len(followed_up)) == (State.NO_WORKER_AVAILABLE, 1)
    assert await says(customer, "And now?") == ["Yes."]
    assert "interaction.failed" in logged() and f'"status": {status}' in logged()


async def test_a_request_that_flex_throttles_is_repeated(reach: Reach) -> None:
    customer = await reach()
    customer.account.flex.fault = Fault(status=429, times=2)
    assert await says(customer, PLEASE) == [handoff.CONNECTING]
    assert len(tasks(customer)) == 1


async def test_a_task_whose_creation_was_not_confirmed_counts(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = await reach()
    flex, create = customer.account.flex, customer.account.flex.answer

    async def cut_off(request: Any) -> Any:
        await create(request)
        async with asyncio.timeout(30):
            while await state(customer) is not State.QUEUED:  # no event of the task has arrived yet
                await asyncio.sleep(0.002)
        raise httpx2.ReadTimeout("no answer")

    monkeypatch.setattr(flex, "answer", cut_off)
    assert await says(customer, PLEASE) == [handoff.CONNECTING]
    assert await state(customer) is State.QUEUED
    await becomes(customer, "accepted")
    assert await says(customer, "Hello") == []


async def test_without_events_an_escalation_times_out(
    reach: Reach, followed_up: list[Any], logged: Callable[[], str]
) -> None:
    clock = [datetime(2026, 3, 2, 10, 0, tzinfo=UTC)]
    account = SimulatedAccount()
    account.set_state({"taskrouter": {"repeats": 0}})
    customer = await reach(account=account, now=lambda: clock[0], queue_timeout=60)
    await says(customer, PLEASE)
    clock[0] += timedelta(seconds=119)
    assert await says(customer, "Hello?") == [handoff.WAITING_IN_WRITING]
    clock[0] += timedelta(seconds=2)
    assert await says(customer, "Hello?") == ["Yes.", NO_WORKER]
    assert (await state(customer), len(followed_up)) == (State.TIMED_OUT, 1)
    assert "escalation.no_events" in logged()


async def test_a_long_conversation_with_a_human_does_not_time_out(reach: Reach) -> None:
    clock = [datetime(2026, 3, 2, 10, 0, tzinfo=UTC)]
    customer = await reach(now=lambda: clock[0])
    await says(customer, PLEASE)
    await becomes(customer, "accepted")
    clock[0] += timedelta(hours=2)
    assert await says(customer, "Hello?") == []


async def test_the_escalation_of_a_closed_conversation_is_abandoned(reach: Reach) -> None:
    customer = await reach()
    await says(customer, PLEASE)
    await customer.closes()
    await customer.wait_for_app()
    assert await state(customer) is State.ABANDONED
    assert await becomes(customer, "no_worker") == []


async def test_a_failing_follow_up_does_not_stop_the_message(
    reach: Reach, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    async def follow_up(*args: Any) -> None:
        raise RuntimeError("the ticket system is down")

    monkeypatch.setattr(handoff, "follow_up", follow_up)
    customer = await reach()
    await says(customer, PLEASE)
    assert await becomes(customer, "no_worker") == [NO_WORKER]
    assert "handoff.follow_up_failed" in logged()


async def interrupted(customer: Texter, state: State) -> Record:
    """An escalation whose server process died before it created the Interaction."""
    await says(customer, "Hello")
    payload = Payload(channel="sms", conversation_id=customer.conversation, reason_code="caller_asked")
    found = Record(payload=payload, state=state, since=datetime.now(UTC))
    await escalation(customer).records.put(customer.conversation, found)
    return found


@pytest.mark.parametrize("where", [State.REQUESTED, State.BRIEFING])
async def test_the_escalation_of_a_server_that_died_is_continued(reach: Reach, where: State) -> None:
    customer = await reach()
    found = await interrupted(customer, where)
    assert await says(customer, "Are you there?") == [handoff.WAITING_IN_WRITING]
    assert (attributes(customer)["escalation_id"], await state(customer)) == (found.id, State.QUEUED)


@pytest.mark.parametrize("where", [State.REQUESTED, State.BRIEFING])
async def test_the_escalation_of_a_server_that_died_may_fail(reach: Reach, where: State) -> None:
    customer = await reach()
    await interrupted(customer, where)
    customer.account.flex.fault = Fault(status=400)
    assert await says(customer, "Are you there?", "And now?") == [handoff.WAITING_IN_WRITING, NO_WORKER, "Yes."]
    assert await state(customer) is State.NO_WORKER_AVAILABLE


# --- once -----------------------------------------------------------------------------------------------------------


async def test_repeated_webhooks_have_one_effect(reach: Reach, followed_up: list[Any]) -> None:
    account = SimulatedAccount()
    account.set_state({"taskrouter": {"repeats": 2}})
    customer = await reach(account=account)
    event = customer.writes(PLEASE)
    await customer.posts(event, "token")
    await customer.posts(event, "token")
    await customer.wait_for_app()
    assert (customer.unread(), len(tasks(customer))) == ([handoff.CONNECTING], 1)
    assert await becomes(customer, "no_worker") == [NO_WORKER]
    assert len(followed_up) == 1


async def test_two_signals_are_one_transfer(reach: Reach) -> None:
    customer = await reach()
    await says(customer, "Hello")
    sessions = [await outside(customer) for _ in range(2)]
    assert all(await asyncio.gather(*(session.escalate("falling_sentiment") for session in sessions)))
    await customer.wait_for_app()
    assert (customer.unread(), len(tasks(customer))) == ([handoff.CONNECTING], 1)


async def test_an_escalation_begins_only_when_none_is_in_progress() -> None:
    records, replaceable = Records(InProcess()), {State.TIMED_OUT}
    first, second = (Record(payload=Payload(reason_code="x")) for _ in range(2))
    assert await records.begin("conv_1", first, replaceable)
    assert not await records.begin("conv_1", second, replaceable)
    await records.move("conv_1", State.TIMED_OUT, first.id)
    assert await records.begin("conv_1", second, replaceable)
    assert await records.get("conv_1") == second


# --- signals --------------------------------------------------------------------------------------------------------


async def test_a_signal_brings_a_human_between_two_messages(reach: Reach) -> None:
    customer = await reach()
    await says(customer, "Hello")
    session = await outside(customer)
    assert await session.escalate("falling_sentiment", "The customer is angry.")
    await customer.wait_for_app()
    assert customer.unread() == [handoff.CONNECTING]
    assert attributes(customer)["reason_code"] == "falling_sentiment"
    assert await remembered(customer) == ["Hello", "Yes.", handoff.CONNECTING]


async def test_a_signal_lets_the_agent_finish(reach: Reach) -> None:
    model = HeldModel("Yes.", "A long story.")
    model.answers.set()
    customer = await reach(models=model.models)
    await says(customer, "Hello")
    model.asked.clear()
    model.answers.clear()
    await customer.posts(customer.writes("Tell me"))
    await model.asked.wait()
    escalating = asyncio.create_task((await outside(customer)).escalate("falling_sentiment"))
    await wait_until(lambda: escalation(customer).counts["sms requested"], "no escalation has begun")
    model.answers.set()
    assert await escalating
    await customer.wait_for_app()
    assert customer.unread() == ["A long story.", handoff.CONNECTING]


async def test_a_server_that_stops_waits_for_a_transfer_only_so_long(logged: Callable[[], str]) -> None:
    capabilities = build_app(timeouts=Timeouts(shutdown=2.05)).state.brain.services.capabilities
    (escalation,) = [each for each in capabilities if isinstance(each, Escalation)]
    (flex,) = [each for each in escalation.transfers if isinstance(each, FlexTransfer)]
    flex.working.start(asyncio.sleep(3600))
    await asyncio.wait_for(flex.close(), 10)
    assert "escalation.unfinished" in logged()


async def test_negative_sentiment_of_messages_transfers_to_a_human(
    reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the project has level 3."""
    monkeypatch.setattr("app.intelligence.own_reactions", pytest.importorskip("app.intelligence.fake"))
    customer = await reach()
    await says(customer, "Hello")
    configuration = {"id": defaults.settings().model_dump()["intelligence_configuration_id"]}
    for number in range(2):
        found = {"id": f"R{number}", "operator": {"displayName": "Sentiment"}, "result": {"label": "negative"}}
        body = {
            "conversationId": customer.conversation,
            "intelligenceConfiguration": configuration,
            "operatorResults": [found],
        }
        await customer.post_json("/webhooks/intelligence", body, f"token {number}")
        await wait_until(lambda id=found["id"]: outcomes(customer.app, id), "the result was not handled")  # type: ignore[misc]
    await customer.wait_for_app()
    assert customer.unread() == [handoff.CONNECTING]
    assert attributes(customer)["reason_code"] == "falling_sentiment"


async def test_a_signal_for_a_conversation_that_is_over_is_refused(reach: Reach) -> None:
    customer = await reach()
    await says(customer, "Hello")
    session = await outside(customer)
    await customer.closes()
    await customer.wait_for_app()
    assert await escalation(customer).transfers[-1]._session(customer.conversation) is None  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="say"):
        await session.say("Hello?")
    assert tasks(customer) == []


async def test_your_own_tool_may_escalate(reach: Reach) -> None:
    async def give_up() -> str:
        """Give up."""
        return str(await this_session().escalate("gave_up"))

    customer = await reach({"calls": {"give_up": {}}}, tools=[give_up])
    assert await says(customer, "Hello") == [handoff.CONNECTING]
    assert attributes(customer)["reason_code"] == "gave_up"


# --- beside calls ---------------------------------------------------------------------------------------------------


async def test_a_call_and_a_text_conversation_do_not_mix(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even when Twilio makes one conversation of both, as it does when it groups by profile."""
    pytest.importorskip("app.escalation.enqueue")
    from kit.caller import caller_on

    async def stays_open(*_: Any) -> None:
        """The end of the call would close it."""

    monkeypatch.setattr("app.orchestrator.Orchestrator.on_end", stays_open)
    customer = await reach()
    records = escalation(customer).records
    await says(customer, "Hello")
    address = str(customer._http.base_url.netloc.decode())
    async with caller_on(customer.app, address, account=customer.account) as call:
        call.session.conversation_id = customer.account.conversations.messages[0]["conversationId"]
        await call.says(PLEASE)
        await call.wait_for_end()
        assert await says(customer, "Hello") == ["Yes."]
        customer.account.flex.subscriber = customer.post_form
        await says(customer, PLEASE)
        await call.account.simulate(call, {"taskrouter": "accepted"})
        await customer.wait_for_app()
        assert await state(customer) is State.QUEUED
        assert await becomes(customer, "no_worker") == [NO_WORKER]
        of_the_call = await records.get(call.sid)
        assert of_the_call and of_the_call.state is State.ACCEPTED
        assert await says(customer, "Hello") == ["Yes."]
        await call.account.simulate(call, {"taskrouter": "completed"})
    assert records.counts["voice completed"] == records.counts["sms timed_out"] == 1


async def test_a_conversation_of_a_call_in_progress_is_not_closed(reach: Reach) -> None:
    customer = await reach()
    await says(customer, PLEASE)
    await customer.messaging.store.put(f"conversation:{customer.conversation}", "CA1", 60)
    await becomes(customer, "accepted")
    await becomes(customer, "completed")
    assert customer.account.conversations.records[customer.conversation]["status"] == "ACTIVE"


# --- the Interaction ------------------------------------------------------------------------------------------------


def session_in(channel: str, caller: str, thread: str = "") -> Session:
    session = Session("conv_1", caller, "", "en-US", now=lambda: datetime.now(UTC), conversation_id="conv_1")
    session.parameters = {"channel": channel, "thread": thread}
    session.connection.spoken = False
    return session


OWN = {"SMS": "+15005550001", "WHATSAPP": "whatsapp:+15005550002", "RCS": "rcs:brand", "CHAT": "ai-assistant"}
CLASSIC = "CH" + "1" * 32
CHANNELS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "sms": ("SMS", defaults.CALLER, "SM1", {"address": defaults.CALLER, "proxy_address": "+15005550001"}),
    "whatsapp": (
        "WHATSAPP",
        defaults.CALLER,
        "",
        {"address": f"whatsapp:{defaults.CALLER}", "proxy_address": "whatsapp:+15005550002"},
    ),
    "rcs": ("RCS", defaults.CALLER, CLASSIC, {"address": defaults.CALLER, "proxy_address": "+15005550001"}),
    "chat": ("CHAT", "ada", "", {"identity": "ada"}),
}


@pytest.mark.parametrize(("channel", "caller", "thread", "participant"), CHANNELS.values(), ids=CHANNELS.keys())
def test_the_interaction_has_both_addresses(
    channel: str, caller: str, thread: str, participant: dict[str, Any]
) -> None:
    session = session_in(channel, caller, thread)
    found = channel_of(session, OWN)
    assert (found["initiated_by"], found["participants"]) == ("api", [participant])
    assert found["type"] == ("sms" if channel == "RCS" else channel.lower())
    assert Payload.of(session, "x", "").channel == channel.lower()


@pytest.mark.parametrize("channel", ["SMS", "WHATSAPP", "CHAT"])
def test_a_bridged_conversation_is_continued_in_flex(channel: str) -> None:
    found = channel_of(session_in(channel, "ada", CLASSIC), OWN)
    assert found == {
        "type": channel.lower(),
        "initiated_by": "customer",
        "properties": {"media_channel_sid": CLASSIC},
    }


@pytest.mark.parametrize(
    ("channel", "author", "settings"),
    [
        ("WHATSAPP", f"whatsapp:{defaults.CALLER}", {"whatsapp_number": "+15005550009"}),
        ("RCS", f"rcs:{defaults.CALLER}", {"rcs_sender": "brand_agent"}),
        ("CHAT", "ada@example.com", {}),
    ],
)
async def test_every_channel_leads_to_a_human(
    reach: Reach, channel: str, author: str, settings: dict[str, Any]
) -> None:
    customer = await reach(author=author, channel=channel, **settings)
    assert await says(customer, PLEASE) == [handoff.CONNECTING]
    assert attributes(customer)["channel"] == channel.lower()
    assert await becomes(customer, "no_worker") == [NO_WORKER]
    assert await says(customer, "Hello") == ["Yes."]


async def test_the_helper_library_reads_the_simulated_account_of_transfers() -> None:
    account = SimulatedAccount()
    twilio = twilio_client(defaults.settings(), account.transport)  # type: ignore[arg-type]
    routing = {"workspace_sid": WORKSPACE, "workflow_sid": "WW1", "task_channel_unique_name": "chat"}
    properties = {**routing, "attributes": {"conversation_id": identifier("conv_conversation", 1)}}
    people = [{"address": defaults.CALLER, "proxy_address": defaults.CALLED}]
    channel = {"type": "sms", "initiated_by": "api", "participants": people}
    api = twilio.flex_api.v1.interaction
    made: InteractionInstance = await api.create_async(channel=channel, routing={"properties": properties})
    again = await api.get(str(made.sid)).fetch_async()
    assert str(made.sid).startswith("KD") and again.sid == made.sid and again.channel == channel
    assert made.links and made.routing
    version: Any = None
    task = TaskInstance(version, dict(made.routing["properties"]), WORKSPACE)  # type: ignore[call-overload]
    assert task.sid in account.taskrouter.tasks and task.task_channel_unique_name == "chat"
    with pytest.raises(TwilioRestException) as refused:
        await api.create_async(channel={**channel, "type": "rcs"}, routing={"properties": properties})
    assert refused.value.status == 400
    await twilio.http_client.close()


PEOPLE = [{"address": defaults.CALLER, "proxy_address": defaults.CALLED}]
GOOD_CHANNEL = {"type": "sms", "initiated_by": "api", "participants": PEOPLE}
GOOD_ROUTING = {"workspace_sid": WORKSPACE, "workflow_sid": "WW1", "attributes": {}}
WRONG: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a channel that Flex has not": ({"type": "rcs"}, {}),
    "an unknown initiator": ({"initiated_by": "robot"}, {}),
    "a customer without a conversation": ({"initiated_by": "customer"}, {}),
    "no participants": ({"participants": []}, {}),
    "an identity in an SMS": ({"participants": [{"identity": "ada"}]}, {}),
    "another workspace": ({}, {"workspace_sid": "WS1"}),
    "no workflow": ({}, {"workflow_sid": ""}),
    "a misspelt property": ({}, {"task_channel": "chat"}),
    "attributes as a text": ({}, {"attributes": "{}"}),
}


@pytest.mark.parametrize(("channel", "routing"), WRONG.values(), ids=WRONG.keys())
def test_an_interaction_that_flex_would_refuse_is_refused(channel: dict[str, Any], routing: dict[str, Any]) -> None:
    assert wrong(GOOD_CHANNEL, {"properties": GOOD_ROUTING}) == ""
    assert wrong({**GOOD_CHANNEL, **channel}, {"properties": {**GOOD_ROUTING, **routing}})


# --- no personal data, and the terminal -----------------------------------------------------------------------------


async def test_escalations_are_logged_without_personal_data(reach: Reach, logged: Callable[[], str]) -> None:
    customer = await reach()
    await says(customer, PLEASE)
    await becomes(customer, "no_worker")
    customer.account.flex.fault = Fault(status=400)
    await says(customer, PLEASE)
    reached = {name: count for name, count in escalation(customer).counts.items() if name.startswith("sms")}
    assert reached == {
        "sms requested": 2,
        "sms briefing": 2,
        "sms queued": 1,
        "sms timed_out": 1,
        "sms no_worker_available": 1,
    }
    assert '"channel": "sms"' in logged() and "interaction.failed" in logged()
    log = "\n".join(line for line in logged().splitlines() if "follow_up" not in line)
    assert not [said for said in (defaults.CALLER.lstrip("+"), "Charged", "person") if said in log]


async def test_an_impossible_event_of_a_task_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be 'eaten'"):
        await SimulatedAccount().flex.update_task("eaten")
    with pytest.raises(ValueError, match="no conversation waits"):
        await SimulatedAccount().flex.update_task("accepted")


def test_agent_text_shows_the_handover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.scripted_model.WORD_DELAY", 0.0)
    typed = "A human, please\nHello?\n/human I take over\nThanks\n/done\nA human\n/no_worker\nAnd now?\n/quit\n"
    result = CliRunner().invoke(cli.app, ["text", "--script"], input=typed)
    silence_logs()
    assert result.exit_code == 0, result.output
    assert result.output.count("-> Flex (sms): caller_asked") == 2 and "TaskRouter: accepted" in result.output
    assert handoff.WAITING_IN_WRITING in result.output and NO_WORKER in result.output
    assert 'I heard "Thanks"' not in result.output and 'I heard "And now?"' in result.output
