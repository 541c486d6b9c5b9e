"""A human takes over in writing: what the customer reads on the way, who is silent when, and what when nobody comes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

import httpx2
import pytest
from pydantic_ai import messages as m
from twilio.base.exceptions import TwilioRestException
from twilio.rest.flex_api.v1.interaction import InteractionInstance
from twilio.rest.taskrouter.v1.workspace.task import TaskInstance
from typer.testing import CliRunner

from agent import handoff, texts
from app.capability import Timeouts
from app.escalation import Escalation
from app.escalation.flex import channel_of
from app.escalation.payload import Payload
from app.escalation.state import Record, Records, State
from app.main import create_app
from app.session import Session, this_session
from app.session_store import load_session
from app.store import InProcess, Store
from app.twilio_api import twilio_client
from kit import cli, defaults
from kit.local_server import serve
from kit.plugin import silence_logs
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.flex import wrong
from kit.simulated_twilio.product import Fault, identifier
from kit.simulated_twilio.taskrouter import WORKSPACE
from kit.texter import Texter, texter

ASKS = {"hears": "person", "calls": {"transfer_to_human": {"reason": "Billing dispute", "summary": "Charged twice."}}}
YES = {"hears": "", "says": "Yes."}
NOBODY = f"{handoff.NOBODY} {handoff.LATER}"
PLEASE = "A person, please"


class Reach(Protocol):
    async def __call__(
        self,
        *rules: dict[str, Any],
        account: SimulatedAccount | None = None,
        store: Store | None = None,
        tools: Sequence[Callable[..., Any]] = (),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        author: str = defaults.CALLER,
        channel: str = "SMS",
        **settings: Any,
    ) -> Texter: ...


@pytest.fixture
async def reach() -> AsyncGenerator[Reach]:
    """Somebody who writes to an agent that brings a human when asked for a person."""
    async with AsyncExitStack() as stack:

        async def begin(
            *rules: dict[str, Any],
            account: SimulatedAccount | None = None,
            store: Store | None = None,
            tools: Sequence[Callable[..., Any]] = (),
            now: Callable[[], datetime] = lambda: datetime.now(UTC),
            author: str = defaults.CALLER,
            channel: str = "SMS",
            **settings: Any,
        ) -> Texter:
            account = account or SimulatedAccount()
            model = scripted(*(rules or (ASKS, YES)))
            app = create_app(
                defaults.settings(**settings), [model], tools, now=now, store=store, transport=account.transport
            )
            return await stack.enter_async_context(texter(app, account, author=author, channel=channel))

        yield begin


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.messaging.outbox.RETRY_DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("app.messaging.inbox.POLL_INTERVAL", 0.005)
    monkeypatch.setattr("app.escalation.flex.RETRY_DELAYS", (0.0, 0.0))
    monkeypatch.setattr("app.escalation.flex.EVENT_WAIT", 0.1)


@pytest.fixture
def followed_up(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    found: list[Any] = []

    async def follow_up(*told: Any) -> None:
        found.append(told)

    monkeypatch.setattr(handoff, "follow_up", follow_up)
    return found


def escalation(somebody: Texter) -> Escalation:
    return next(each for each in somebody.app.state.conversations.capabilities if isinstance(each, Escalation))


async def record(somebody: Texter) -> Record:
    (conversation,) = {message["conversationId"] for message in somebody.account.conversations.messages}
    found = await escalation(somebody).records.get(conversation)
    assert found
    return found


async def state(somebody: Texter) -> State:
    return (await record(somebody)).state


async def says(somebody: Texter, *texts: str) -> list[str]:
    """What is answered to each of `texts`, and what else is said until the app has nothing to do."""
    for text in texts:
        await somebody.posts(somebody.writes(text))
        await somebody.settles()
    return somebody.unread()


async def becomes(somebody: Texter, event: str) -> list[str]:
    """What is said after an event of TaskRouter."""
    await somebody.account.flex.becomes(event)
    await somebody.settles()
    return somebody.unread()


def tasks(somebody: Texter) -> list[dict[str, Any]]:
    return list(somebody.account.taskrouter.tasks.values())


def attributes(somebody: Texter) -> dict[str, Any]:
    """Those of the only task."""
    (task,) = tasks(somebody)
    return dict(json.loads(task["attributes"]))


async def outside(somebody: Texter) -> Session:
    """The conversation as a signal finds it, on whichever worker."""
    found = await escalation(somebody).transfers[-1]._session(somebody.conversation)  # type: ignore[attr-defined]
    assert isinstance(found, Session)
    return found


async def remembered(somebody: Texter) -> list[str]:
    stored = await somebody.messaging.store.get(f"session:{somebody.conversation}")
    session = load_session(somebody.conversation, json.loads(stored or ""), somebody.messaging.now)
    parts = [part for message in session.history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, m.UserPromptPart | m.TextPart)]


# --- the way to a human ---------------------------------------------------------------------------------------------


async def test_whoever_asks_for_a_human_is_told_and_becomes_a_task(reach: Reach) -> None:
    somebody = await reach()
    assert await says(somebody, PLEASE) == [handoff.CONNECTING]
    found = attributes(somebody)
    assert (found["channel"], found["reason_code"], found["summary"]) == ("sms", "billing_dispute", "Charged twice.")
    assert found["conversation_id"] == somebody.conversation
    assert await state(somebody) is State.QUEUED
    assert await remembered(somebody) == [PLEASE, handoff.CONNECTING]


async def test_the_task_says_who_should_take_it_and_for_how_long(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "routing", lambda session, reason: {"skills": ["gold"], "priority": 7, "vip": True})
    somebody = await reach(queue_timeout=60, task_channel="sms")
    await says(somebody, PLEASE)
    (task,) = tasks(somebody)
    assert (task["priority"], task["timeout"], task["task_channel_unique_name"]) == (7, 60, "sms")
    assert task["workflow_sid"] == defaults.settings().model_dump()["workflow_sid"]
    assert (attributes(somebody)["skills"], attributes(somebody)["vip"]) == (["gold"], True)


async def test_what_the_model_said_before_stands_before_in_one_message(reach: Reach) -> None:
    somebody = await reach({"says": "Let me see. ", "calls": {"transfer_to_human": {}}, "then": "Never said."})
    (told,) = await says(somebody, PLEASE)
    assert told.split() == f"Let me see. {handoff.CONNECTING}".split()


async def test_a_sensitive_topic_does_not_wait_for_the_model(reach: Reach) -> None:
    somebody = await reach({"hangs": True})
    assert await says(somebody, f"I must say {handoff.SENSITIVE[0].upper()} today") == [handoff.CONNECTING]
    assert (attributes(somebody)["reason_code"], attributes(somebody)["summary"]) == ("sensitive_topic", "")


async def test_failures_in_a_row_bring_a_human(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handoff, "FAILURES", 2)
    somebody = await reach({"fails": True})
    assert await says(somebody, "One", "Two", "Three") == [texts.APOLOGY, texts.APOLOGY, handoff.CONNECTING]
    assert attributes(somebody)["reason_code"] == "repeated_failure"


async def test_a_flex_that_is_slow_holds_up_no_words(reach: Reach) -> None:
    """Also where a hook of two seconds would not wait for it."""
    somebody = await reach({"hangs": True}, timeouts=Timeouts(hook=0.1))
    somebody.account.flex.fault = Fault(delay=0.4)
    await somebody.posts(somebody.writes(handoff.SENSITIVE[0]))
    assert await somebody.reads() == handoff.CONNECTING
    assert tasks(somebody) == []
    await somebody.settles()
    assert (len(tasks(somebody)), await state(somebody)) == (1, State.QUEUED)


async def test_words_that_cannot_be_sent_do_not_keep_a_human_away(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, "Hello")
    somebody.account.conversations.refusals = [400]
    session = await outside(somebody)
    assert await session.escalate("falling_sentiment")
    await somebody.settles()
    assert (len(tasks(somebody)), await state(somebody)) == (1, State.QUEUED)


# --- who is silent when ---------------------------------------------------------------------------------------------


async def test_who_waits_is_told_once_that_somebody_is_coming(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, PLEASE)
    assert await says(somebody, "Hello?", "Anybody?", PLEASE) == [handoff.WAITING_IN_WRITING]
    assert len(tasks(somebody)) == 1
    assert somebody.messaging.counts == {"received": 4, "answered": 2, "left to a human": 2}
    assert (await remembered(somebody))[-2:] == ["Anybody?", PLEASE]  # what the agent knows if nobody comes


async def test_the_agent_is_silent_when_a_human_has_accepted(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, PLEASE)
    assert await becomes(somebody, "accepted") == []
    assert await state(somebody) is State.ACCEPTED
    assert await says(somebody, "Hello", handoff.SENSITIVE[0], PLEASE) == []
    await somebody.posts(somebody.writes(None))  # a picture, which the agent could not see
    await somebody.settles()
    assert somebody.unread() == []
    assert (len(tasks(somebody)), somebody.messaging.counts["left to a human"]) == (1, 4)


async def test_when_the_human_has_finished_the_next_conversation_is_the_agents(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, PLEASE)
    await becomes(somebody, "accepted")
    assert await becomes(somebody, "completed") == []
    assert await state(somebody) is State.COMPLETED
    assert await says(somebody, "A new question") == ["Yes."]
    assert len(somebody.account.conversations.known) == 2


async def test_a_conversation_that_cannot_be_closed_stays_the_humans(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, PLEASE)
    await becomes(somebody, "accepted")
    somebody.account.conversations.fault = Fault(status=500, times=1)
    await becomes(somebody, "completed")
    assert await says(somebody, "Thank you") == []


async def test_whoever_asks_before_the_server_stops_becomes_a_task() -> None:
    account = SimulatedAccount()
    app = create_app(defaults.settings(), [scripted({**ASKS, "delay": 0.3})], [], transport=account.transport)
    async with serve(app) as address:
        somebody = Texter(app, address, account, defaults.CALLER, "SMS")
        account.flex.fault = Fault(delay=0.2)
        await somebody.posts(somebody.writes(PLEASE))
        account.conversations.subscriber = account.flex.subscriber = None
    await somebody.aclose()
    assert [message["content"]["text"] for message in account.conversations.sent] == [handoff.CONNECTING]
    assert len(account.taskrouter.tasks) == 1


async def test_a_human_may_take_days(reach: Reach) -> None:
    kept: dict[str, float] = {}

    class Noting(InProcess):
        async def put(self, key: str, value: str, seconds: float) -> None:
            kept[key.partition(":")[0]] = seconds
            await super().put(key, value, seconds)

    somebody = await reach(store=Noting())
    await says(somebody, PLEASE)
    assert kept["escalation"] >= kept["session"] > 6 * 24 * 3600


async def test_another_worker_is_silent_too(reach: Reach) -> None:
    account, store = SimulatedAccount(), InProcess()
    one = await reach(account=account, store=store)
    other = await reach(account=account, store=store)
    await says(one, PLEASE)
    await becomes(other, "accepted")
    assert await says(other, "Hello") == []
    assert other.messaging.counts["left to a human"] == 1


# --- nobody comes ---------------------------------------------------------------------------------------------------


async def test_when_nobody_comes_the_customer_is_told_and_the_agent_goes_on(
    reach: Reach, followed_up: list[Any]
) -> None:
    somebody = await reach()
    await says(somebody, PLEASE)
    assert await becomes(somebody, "nobody") == [NOBODY]
    found = await record(somebody)
    assert (found.state, found.way_out) == (State.TIMED_OUT, "callback")
    ((caller, task, recording),) = followed_up
    assert (caller, task["reason_code"], recording) == (defaults.CALLER, "billing_dispute", None)
    assert await says(somebody, "And now?") == ["Yes."]
    assert await remembered(somebody) == [PLEASE, handoff.CONNECTING, NOBODY, "And now?", "Yes."]


async def test_a_human_can_be_asked_for_again(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, PLEASE)
    (first,) = tasks(somebody)
    await becomes(somebody, "nobody")
    assert await says(somebody, PLEASE, "Hello?") == [handoff.CONNECTING, handoff.WAITING_IN_WRITING]
    await somebody.account.flex.send(first, "task.canceled")  # late, and about the first time
    await somebody.settles()
    assert (somebody.unread(), await state(somebody)) == ([], State.QUEUED)
    await becomes(somebody, "accepted")
    assert await state(somebody) is State.ACCEPTED


@pytest.mark.parametrize("status", [400, 401, 500])
async def test_when_flex_refuses_the_customer_is_told_and_nothing_is_lost(
    reach: Reach, followed_up: list[Any], logged: Callable[[], str], status: int
) -> None:
    somebody = await reach()
    somebody.account.flex.fault = Fault(status=status)
    assert await says(somebody, PLEASE) == [handoff.CONNECTING, NOBODY]
    assert len(somebody.account.flex.requests) == 1  # whether it has done it is not certain: never twice
    assert (await state(somebody), len(followed_up)) == (State.NOBODY_AVAILABLE, 1)
    assert await says(somebody, "And now?") == ["Yes."]
    assert "interaction.failed" in logged() and f'"status": {status}' in logged()


async def test_a_flex_that_has_too_much_to_do_is_asked_again(reach: Reach) -> None:
    somebody = await reach()
    somebody.account.flex.fault = Fault(status=429, times=2)
    assert await says(somebody, PLEASE) == [handoff.CONNECTING]
    assert len(tasks(somebody)) == 1


async def test_a_task_that_was_made_without_an_answer_counts(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody = await reach()
    flex, create = somebody.account.flex, somebody.account.flex.answer

    async def cut_off(request: Any) -> Any:
        await create(request)
        raise httpx2.ReadTimeout("no answer")

    monkeypatch.setattr(flex, "answer", cut_off)
    assert await says(somebody, PLEASE) == [handoff.CONNECTING]
    assert await state(somebody) is State.QUEUED
    await becomes(somebody, "accepted")
    assert await says(somebody, "Hello") == []


async def test_without_events_nobody_waits_for_ever(
    reach: Reach, followed_up: list[Any], logged: Callable[[], str]
) -> None:
    clock = [datetime(2026, 3, 2, 10, 0, tzinfo=UTC)]
    account = SimulatedAccount()
    account.given({"taskrouter": {"repeats": 0}})
    somebody = await reach(account=account, now=lambda: clock[0], queue_timeout=60)
    await says(somebody, PLEASE)
    clock[0] += timedelta(seconds=119)
    assert await says(somebody, "Hello?") == [handoff.WAITING_IN_WRITING]
    clock[0] += timedelta(seconds=2)
    assert await says(somebody, "Hello?") == ["Yes.", NOBODY]
    assert (await state(somebody), len(followed_up)) == (State.TIMED_OUT, 1)
    assert "escalation.no_events" in logged()


async def test_a_human_who_talks_for_long_is_not_interrupted(reach: Reach) -> None:
    clock = [datetime(2026, 3, 2, 10, 0, tzinfo=UTC)]
    somebody = await reach(now=lambda: clock[0])
    await says(somebody, PLEASE)
    await becomes(somebody, "accepted")
    clock[0] += timedelta(hours=2)
    assert await says(somebody, "Hello?") == []


async def test_whoever_stops_writing_has_abandoned_it(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, PLEASE)
    await somebody.closes()
    await somebody.settles()
    assert await state(somebody) is State.ABANDONED
    assert await becomes(somebody, "nobody") == []


async def test_a_follow_up_that_fails_costs_no_words(
    reach: Reach, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    async def follow_up(*told: Any) -> None:
        raise RuntimeError("the ticket system is down")

    monkeypatch.setattr(handoff, "follow_up", follow_up)
    somebody = await reach()
    await says(somebody, PLEASE)
    assert await becomes(somebody, "nobody") == [NOBODY]
    assert "handoff.follow_up_failed" in logged()


async def begun(somebody: Texter, state: State) -> Record:
    """An escalation whose worker has died: no interaction has been made."""
    await says(somebody, "Hello")
    payload = Payload(channel="sms", conversation_id=somebody.conversation, reason_code="caller_asked")
    found = Record(payload=payload, state=state, since=datetime.now(UTC))
    await escalation(somebody).records.put(somebody.conversation, found)
    return found


@pytest.mark.parametrize("where", [State.REQUESTED, State.BRIEFING])
async def test_whoever_began_it_and_died_is_replaced(reach: Reach, where: State) -> None:
    somebody = await reach()
    found = await begun(somebody, where)
    assert await says(somebody, "Are you there?") == [handoff.WAITING_IN_WRITING]
    assert (attributes(somebody)["escalation_id"], await state(somebody)) == (found.id, State.QUEUED)


@pytest.mark.parametrize("where", [State.REQUESTED, State.BRIEFING])
async def test_whoever_began_it_and_died_may_be_replaced_in_vain(reach: Reach, where: State) -> None:
    somebody = await reach()
    await begun(somebody, where)
    somebody.account.flex.fault = Fault(status=400)
    assert await says(somebody, "Are you there?", "And now?") == [handoff.WAITING_IN_WRITING, NOBODY, "Yes."]
    assert await state(somebody) is State.NOBODY_AVAILABLE


# --- once -----------------------------------------------------------------------------------------------------------


async def test_everything_may_come_twice(reach: Reach, followed_up: list[Any]) -> None:
    account = SimulatedAccount()
    account.given({"taskrouter": {"repeats": 2}})
    somebody = await reach(account=account)
    event = somebody.writes(PLEASE)
    await somebody.posts(event, "token")
    await somebody.posts(event, "token")
    await somebody.settles()
    assert (somebody.unread(), len(tasks(somebody))) == ([handoff.CONNECTING], 1)
    assert await becomes(somebody, "nobody") == [NOBODY]
    assert len(followed_up) == 1


async def test_two_signals_are_one_transfer(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, "Hello")
    sessions = [await outside(somebody) for _ in range(2)]
    assert all(await asyncio.gather(*(session.escalate("falling_sentiment") for session in sessions)))
    await somebody.settles()
    assert (somebody.unread(), len(tasks(somebody))) == ([handoff.CONNECTING], 1)


async def test_one_escalation_begins_where_none_is_under_way() -> None:
    records, over = Records(InProcess()), {State.TIMED_OUT}
    first, second = (Record(payload=Payload(reason_code="x")) for _ in range(2))
    assert await records.begin("conv_1", first, over)
    assert not await records.begin("conv_1", second, over)
    await records.move("conv_1", State.TIMED_OUT, first.id)
    assert await records.begin("conv_1", second, over)
    assert await records.get("conv_1") == second


# --- signals --------------------------------------------------------------------------------------------------------


async def test_a_signal_brings_a_human_between_two_messages(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, "Hello")
    session = await outside(somebody)
    assert await session.escalate("falling_sentiment", "The customer is angry.")
    await somebody.settles()
    assert somebody.unread() == [handoff.CONNECTING]
    assert attributes(somebody)["reason_code"] == "falling_sentiment"
    assert await remembered(somebody) == ["Hello", "Yes.", handoff.CONNECTING]


async def test_a_signal_lets_the_agent_finish(reach: Reach) -> None:
    somebody = await reach({"hears": "Hello", "says": "Yes."}, {"says": "A long story.", "delay": 0.2})
    await says(somebody, "Hello")
    await somebody.posts(somebody.writes("Tell me"))
    await asyncio.sleep(0.1)
    assert await (await outside(somebody)).escalate("falling_sentiment")
    await somebody.settles()
    assert somebody.unread() == ["A long story.", handoff.CONNECTING]


async def test_what_intelligence_finds_in_writing_brings_a_human(reach: Reach) -> None:
    """Only where the project has level 3."""
    pytest.importorskip("app.intelligence")
    somebody = await reach()
    await says(somebody, "Hello")
    configuration = {"id": defaults.settings().model_dump()["intelligence_configuration_id"]}
    for number in range(2):
        found = {"id": f"R{number}", "operator": {"displayName": "Sentiment"}, "result": {"label": "negative"}}
        body = {
            "conversationId": somebody.conversation,
            "intelligenceConfiguration": configuration,
            "operatorResults": [found],
        }
        await somebody.posts(body, f"token {number}", "/webhooks/intelligence")
        await asyncio.sleep(0.1)
    await somebody.settles()
    assert somebody.unread() == [handoff.CONNECTING]
    assert attributes(somebody)["reason_code"] == "falling_sentiment"


async def test_a_signal_for_a_conversation_that_is_over_is_refused(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, "Hello")
    session = await outside(somebody)
    await somebody.closes()
    await somebody.settles()
    assert await escalation(somebody).transfers[-1]._session(somebody.conversation) is None  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="say"):
        await session.say("Hello?")
    assert tasks(somebody) == []


async def test_words_of_your_own_tools_may_bring_a_human(reach: Reach) -> None:
    async def give_up() -> str:
        """Give up."""
        return str(await this_session().escalate("gave_up"))

    somebody = await reach({"calls": {"give_up": {}}}, tools=[give_up])
    assert await says(somebody, "Hello") == [handoff.CONNECTING]
    assert attributes(somebody)["reason_code"] == "gave_up"


# --- beside calls ---------------------------------------------------------------------------------------------------


async def test_a_call_and_a_conversation_in_writing_do_not_mix(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even if Twilio takes them for one conversation, as it does when it groups by profile."""
    pytest.importorskip("app.escalation.enqueue")
    from kit.caller import caller_on

    async def stays_open(*_: Any) -> None:
        """The end of the call would close it."""

    monkeypatch.setattr("app.orchestrator.Orchestrator.on_end", stays_open)
    somebody = await reach()
    records = escalation(somebody).records
    await says(somebody, "Hello")
    address = str(somebody._http.base_url.netloc.decode())
    async with caller_on(somebody.app, address, account=somebody.account) as call:
        call.session.conversation_id = somebody.account.conversations.messages[0]["conversationId"]
        await call.says(PLEASE)
        await call.over()
        assert await says(somebody, "Hello") == ["Yes."]
        somebody.account.flex.subscriber = somebody.post_form
        await says(somebody, PLEASE)
        await call.account.happens(call, {"taskrouter": "accepted"})
        await somebody.settles()
        assert await state(somebody) is State.QUEUED
        assert await becomes(somebody, "nobody") == [NOBODY]
        of_the_call = await records.get(call.sid)
        assert of_the_call and of_the_call.state is State.ACCEPTED
        assert await says(somebody, "Hello") == ["Yes."]
        await call.account.happens(call, {"taskrouter": "completed"})
    assert records.counts["voice completed"] == records.counts["sms timed_out"] == 1


async def test_a_conversation_that_is_a_calls_too_is_not_closed_under_it(reach: Reach) -> None:
    somebody = await reach()
    await says(somebody, PLEASE)
    await somebody.messaging.store.put(f"conversation:{somebody.conversation}", "CA1", 60)
    await becomes(somebody, "accepted")
    await becomes(somebody, "completed")
    assert somebody.account.conversations.known[somebody.conversation]["status"] == "ACTIVE"


# --- what Flex is told ----------------------------------------------------------------------------------------------


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
def test_flex_is_told_whom_to_write_to(channel: str, caller: str, thread: str, participant: dict[str, Any]) -> None:
    session = session_in(channel, caller, thread)
    found = channel_of(session, OWN)
    assert (found["initiated_by"], found["participants"]) == ("api", [participant])
    assert found["type"] == ("sms" if channel == "RCS" else channel.lower())
    assert Payload.of(session, "x", "").channel == channel.lower()


@pytest.mark.parametrize("channel", ["SMS", "WHATSAPP", "CHAT"])
def test_what_came_over_the_bridge_goes_on_in_its_own_conversation(channel: str) -> None:
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
    somebody = await reach(author=author, channel=channel, **settings)
    assert await says(somebody, PLEASE) == [handoff.CONNECTING]
    assert attributes(somebody)["channel"] == channel.lower()
    assert await becomes(somebody, "nobody") == [NOBODY]
    assert await says(somebody, "Hello") == ["Yes."]


async def test_the_fake_answers_in_the_helper_librarys_words() -> None:
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
    "nobody's initiative": ({"initiated_by": "robot"}, {}),
    "a customer without a conversation": ({"initiated_by": "customer"}, {}),
    "nobody": ({"participants": []}, {}),
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


# --- nothing personal, and the terminal -----------------------------------------------------------------------------


async def test_it_is_counted_and_logged_without_who_and_what(reach: Reach, logged: Callable[[], str]) -> None:
    somebody = await reach()
    await says(somebody, PLEASE)
    await becomes(somebody, "nobody")
    somebody.account.flex.fault = Fault(status=400)
    await says(somebody, PLEASE)
    reached = {name: count for name, count in escalation(somebody).counts.items() if name.startswith("sms")}
    assert reached == {
        "sms requested": 2,
        "sms briefing": 2,
        "sms queued": 1,
        "sms timed_out": 1,
        "sms nobody_available": 1,
    }
    assert '"channel": "sms"' in logged() and "interaction.failed" in logged()
    log = "\n".join(line for line in logged().splitlines() if "follow_up" not in line)
    assert not [said for said in (defaults.CALLER.lstrip("+"), "Charged", "person") if said in log]


async def test_what_cannot_become_of_a_task_is_an_error() -> None:
    with pytest.raises(ValueError, match="cannot be 'eaten'"):
        await SimulatedAccount().flex.becomes("eaten")
    with pytest.raises(ValueError, match="no conversation waits"):
        await SimulatedAccount().flex.becomes("accepted")


def test_agent_text_shows_the_handover(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.scripted_model.WORD_DELAY", 0.0)
    typed = "A human, please\nHello?\n/human I take over\nThanks\n/done\nA human\n/nobody\nAnd now?\n/quit\n"
    result = CliRunner().invoke(cli.app, ["text", "--script"], input=typed)
    silence_logs()
    assert result.exit_code == 0, result.output
    assert result.output.count("-> Flex (sms): caller_asked") == 2 and "TaskRouter: accepted" in result.output
    assert handoff.WAITING_IN_WRITING in result.output and NOBODY in result.output
    assert 'I heard "Thanks"' not in result.output and 'I heard "And now?"' in result.output
