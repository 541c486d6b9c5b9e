"""Messages are answered once, in order, by the agent of the project, and not after a human has taken over."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel
from typer.testing import CliRunner

from app.capability import Capability, attach, run_hooks
from app.connection import NotSupported
from app.messaging import UNSEEN
from app.messaging.inbox import LEASE, Inbox, Message
from app.messaging.outbox import BetweenTurns, TextConnection, split
from app.messaging.texts import texts
from app.orchestrator import Orchestrator
from app.session import Session, dump_session, load_session, this_session
from app.store import InProcess
from kit import cli, defaults
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.conventions import build_model
from kit.local_server import serve
from kit.plugin import silence_logs
from kit.scenario import play
from kit.scenario_file import ScenarioError
from kit.server_fixtures import health, serving, stopping
from kit.simulated_twilio.account import SimulatedAccount
from kit.testing import Reach
from kit.texter import Texter, texter_on


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.messaging.outbox.RETRY_DELAYS", (0.0, 0.0, 0.0))
    monkeypatch.setattr("app.messaging.inbox.POLL_INTERVAL", 0.005)


class HeldModel:
    """A model that replies in the order of `replies` while `answers` is set. A request sets `asked`."""

    def __init__(self, *replies: str) -> None:
        self.replies = list(replies)
        self.asked, self.answers = asyncio.Event(), asyncio.Event()
        self.models = [build_model(FunctionModel(stream_function=self._stream))]

    async def _stream(self, messages: list[m.ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        self.asked.set()
        await self.answers.wait()
        yield self.replies.pop(0)


def sent(customer: Texter) -> list[str]:
    """The texts of the agent's messages, without its introduction."""
    return [customer.split(message["content"]["text"])[1] for message in customer.account.conversations.sent]


async def stored(customer: Texter) -> Session:
    """The session in the store."""
    text = await customer.messaging.store.get(f"session:{customer.conversation}")
    assert text
    return load_session(customer.conversation, json.loads(text), customer.messaging.now)


async def received(customer: Texter, count: int) -> None:
    """Wait until so many messages are queued. The webhook responds before that."""
    await wait_until(lambda: customer.messaging.counts["received"] == count, "a message was not received")


def texts_of(session: Session) -> list[str]:
    return [
        str(part.content)
        for message in session.history
        for part in message.parts
        if isinstance(part, m.UserPromptPart | m.TextPart)
    ]


# --- answers -----------------------------------------------------------------------------------------------------


async def test_a_text_is_answered(reach: Reach) -> None:
    customer = await reach({"hears": "order", "says": "It arrives tomorrow."})
    assert await customer.texts("Where is my order?") == "It arrives tomorrow."
    assert set(customer.statuses) == {200}


async def test_the_first_message_says_that_an_ai_writes(reach: Reach) -> None:
    customer = await reach({"hears": "Hello", "says": "Hello!"}, {"says": "Yes."})
    customer.account.conversations.refusals = [400]  # a message that was not sent says nothing
    await customer.posts(customer.writes("Is somebody there?"))
    await customer.wait_for_app()
    for text in ("Hello", "Again"):
        await customer.texts(text)
    first, *later = [message["content"]["text"] for message in customer.account.conversations.sent]
    introduction = customer.messaging.outbox.introduction
    assert texts.INTRODUCTION in introduction and first == f"{introduction}\nHello!"
    assert later == ["Yes."]
    assert (await stored(customer)).greeting == introduction


async def test_the_model_has_the_earlier_messages(reach: Reach) -> None:
    heard: list[list[m.ModelMessage]] = []

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        heard.append(messages)
        yield f"Answer {len(heard)}."

    customer = await reach(models=[build_model(FunctionModel(stream_function=stream))])
    await customer.texts("First")
    await customer.texts("Second")
    before = [str(part.content) for message in heard[1] for part in message.parts if hasattr(part, "content")]
    assert before == ["First", "Answer 1.", "Second"]


async def test_the_instructions_are_those_of_text_conversations(reach: Reach) -> None:
    instructions: list[str] = []

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        instructions.append(info.instructions or "")
        yield "Yes."

    customer = await reach(models=[build_model(FunctionModel(stream_function=stream))])
    await customer.texts("Hello")
    assert texts.WRITING in instructions[0]
    assert "You began with" not in instructions[0]


async def test_a_tool_has_the_session_of_its_message(reach: Reach) -> None:
    async def who() -> str:
        """Say who it is."""
        session = this_session()
        return f"{session.caller} to {session.called} by {session.parameters['channel']} in {session.conversation_id}"

    customer = await reach({"calls": {"who": {}}}, tools=[who])
    assert await customer.texts("Me?") == f"{defaults.CALLER} to {defaults.CALLED} by SMS in {customer.conversation}"


async def test_a_tool_that_ends_a_text_conversation_does_not_fail(reach: Reach) -> None:
    async def leave() -> str:
        """Hang up."""
        await this_session().connection.end({"reasonCode": "done"})
        return "Goodbye!"

    customer = await reach({"calls": {"leave": {}}}, tools=[leave])
    assert await customer.texts("Bye") == "Goodbye!"


async def test_a_long_answer_comes_in_several_messages(reach: Reach) -> None:
    sentence = "This is a sentence of some length. "
    customer = await reach({"says": sentence * 100})
    await customer.texts("Tell me everything")
    await customer.wait_for_app()
    assert len(sent(customer)) == 3
    assert all(len(text) <= 1600 and text.endswith(".") for text in sent(customer))
    assert " ".join(sent(customer)) == (sentence * 100).strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("short", ["short"]),
        ("One two. Three four.", ["One two.", "Three four."]),
        ("one two three four", ["one two", "three four"]),
        ("abcdefghijklmno", ["abcdefghijkl", "mno"]),
    ],
)
def test_texts_are_split_after_sentences_or_between_words(text: str, expected: list[str]) -> None:
    assert split(text, 12) == expected


async def test_a_picture_without_a_word_is_answered(reach: Reach) -> None:
    customer = await reach()
    assert await customer.texts(None) == texts.NO_MEDIA
    assert await customer.texts("An old map") == "Yes."


@pytest.mark.parametrize("content", [None, {"type": "TEXT"}, {"type": "TEXT", "text": None}, {"type": "MEDIA"}])
async def test_a_picture_may_come_in_any_shape(reach: Reach, content: Any) -> None:
    customer = await reach()
    event = customer.writes(None)
    await customer.posts({**event, "data": {**event["data"], "content": content}})
    assert await customer.reads() == texts.NO_MEDIA


async def test_the_model_knows_of_a_picture_beside_a_text(reach: Reach) -> None:
    customer = await reach()
    picture, question = customer.writes(None), customer.writes("What is this?")
    async with customer.messaging.inbox.turn(customer.conversation):  # both arrive before the answer begins
        await customer.posts(picture)
        await customer.posts(question)
        await received(customer, 2)
    await customer.wait_for_app()
    assert sent(customer) == ["Yes."]
    assert texts_of(await stored(customer))[0] == f"What is this?\n{UNSEEN}"


async def test_a_model_that_is_down_apologises(reach: Reach) -> None:
    customer = await reach({"fails": True})
    assert await customer.texts("Hello") == texts.APOLOGY


def test_a_slow_reply_has_no_filler() -> None:
    """An empty `hold` has this effect."""
    assert TextConnection.hold == BetweenTurns.hold == ""


# --- not twice, in order, and together ---------------------------------------------------------------------------


async def test_a_repeated_webhook_is_answered_once(reach: Reach) -> None:
    customer = await reach()
    event = customer.writes("Hello")
    await customer.posts(event, "token")
    await customer.posts(event, "token")
    await customer.wait_for_app()
    await customer.posts(event, "token")
    await customer.posts(event, "another token")  # by another status callback
    await customer.wait_for_app()
    assert sent(customer) == ["Yes."]
    assert texts_of(await stored(customer)) == ["Hello", "Yes."]
    assert customer.statuses == [200] * 5  # and the answer, which came back


async def reported_in_another_order(reach: Reach) -> Texter:
    """A customer who has written two messages, of which the second is reported first."""
    customer = await reach({"hears": "Where is\\nmy order", "says": "On its way."}, {"says": "Pardon?"})
    first, second = customer.writes("Where is"), customer.writes("my order?")
    async with customer.messaging.inbox.turn(customer.conversation):
        await customer.posts(second)
        await received(customer, 1)
        await customer.posts(first)
        await received(customer, 2)
    return customer


async def test_messages_that_wait_are_one_question_in_the_order_of_writing(reach: Reach) -> None:
    customer = await reported_in_another_order(reach)
    assert await customer.reads() == "On its way."
    await customer.wait_for_app()
    assert sent(customer) == ["On its way."]


def message(text: str) -> Message:
    author = {"address": defaults.CALLER, "channel": "SMS"}
    return Message.model_validate({"id": text, "conversationId": "conv_1", "author": author, "content": {"text": text}})


@pytest.mark.virtual_time
async def test_a_message_within_the_pause_is_taken_with_the_first() -> None:
    inbox = Inbox(InProcess(), pause=1.0)
    await inbox.put("conv_1", message("Where is"))
    taking = asyncio.create_task(inbox.take("conv_1"))
    await asyncio.sleep(0.9)
    await inbox.put("conv_1", message("my order?"))
    messages, closed = await taking
    assert ([each.text for each in messages], closed) == (["Where is", "my order?"], False)
    await inbox.put("conv_1", message("Hello?"))
    await inbox.put("conv_1", None)
    messages, closed = await inbox.take("conv_1")
    assert ([each.text for each in messages], closed) == (["Hello?"], True)
    assert await inbox.take("conv_1") == ([], False)


async def test_a_message_during_an_answer_is_answered_after_it(reach: Reach) -> None:
    model = HeldModel("One.", "Two.", "Three.")
    customer = await reach(models=model.models)
    await customer.posts(customer.writes("first"))
    await model.asked.wait()
    await customer.posts(customer.writes("second"))
    await received(customer, 2)
    model.answers.set()
    await customer.wait_for_app()
    assert sent(customer) == ["One.", "Two."]
    assert texts_of(await stored(customer)) == ["first", "One.", "second", "Two."]


async def test_two_workers_share_a_conversation(reach: Reach) -> None:
    account, store, model = SimulatedAccount(), InProcess(), HeldModel("One.", "Two.")
    one = await reach(models=model.models, account=account, store=store)
    other = await reach(models=model.models, account=account, store=store)
    await one.posts(one.writes("first"))
    await model.asked.wait()
    await other.posts(other.writes("second"))
    await received(other, 1)
    model.answers.set()
    await one.wait_for_app()
    await other.wait_for_app()
    assert sent(one) == ["One.", "Two."]
    assert texts_of(await stored(other)) == ["first", "One.", "second", "Two."]


@pytest.mark.virtual_time
async def test_the_lock_of_a_worker_that_died_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.messaging.inbox.POLL_INTERVAL", 1.0)
    store, clock = InProcess(), asyncio.get_running_loop().time
    await store.claim("answering:conv_1", LEASE)  # by that worker
    async with Inbox(store, pause=0).turn("conv_1"):
        assert LEASE <= clock() <= LEASE + 1


@pytest.mark.virtual_time
async def test_the_lock_is_held_during_a_long_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.messaging.inbox.POLL_INTERVAL", 1.0)
    inbox, entered = Inbox(InProcess(), pause=0), asyncio.Event()

    async def enter() -> None:
        async with inbox.turn("conv_1"):
            entered.set()

    async with inbox.turn("conv_1"):
        waiting = asyncio.create_task(enter())
        await asyncio.sleep(3 * LEASE)
        assert not entered.is_set()
    await waiting


# --- messages that are not for the agent -------------------------------------------------------------------------


async def test_the_agents_own_messages_are_not_answered(reach: Reach) -> None:
    customer = await reach()
    await customer.texts("Hello")
    await customer.wait_for_app()
    assert len(customer.statuses) == 2  # the answer has come back
    assert sent(customer) == ["Yes."]


async def test_the_agents_own_messages_do_not_count_as_those_of_a_human(reach: Reach) -> None:
    """Twilio makes a HUMAN_AGENT of a number whose messages it captures, until its type is changed."""
    customer = await reach()
    event = customer.writes("Hello")
    customer.account.conversations.join(customer.conversation, "HUMAN_AGENT", "SMS", defaults.CALLED)
    await customer.posts(event)
    assert await customer.reads() == "Yes."
    await customer.wait_for_app()
    assert await customer.texts("Again") == "Yes."


async def test_an_agent_with_another_address_is_not_answered(reach: Reach) -> None:
    customer = await reach()
    await customer.texts("Hello")
    event = customer.writes("I am another agent")
    agent = next(each for each in customer.account.conversations.people[customer.conversation] if "AI" in each["type"])
    author = {"address": "+15005550099", "channel": "SMS", "participantId": agent["id"]}
    await customer.posts({**event, "data": {**event["data"], "author": author}})
    await customer.wait_for_app()
    assert sent(customer) == ["Yes."]


async def test_the_agent_is_silent_after_a_human_has_written(reach: Reach) -> None:
    customer = await reach()
    await customer.texts("Hello")
    await customer.human("I take over.")
    await customer.wait_for_app()
    await customer.posts(customer.writes("Thank you"))
    await customer.wait_for_app()
    assert sent(customer) == ["Yes."]
    assert customer.messaging.counts["left to a human"] == 1
    await customer.closes()
    await customer.wait_for_app()
    assert await customer.texts("A new question") == "Yes."


@pytest.mark.parametrize(
    "change",
    [
        {"author": {"address": defaults.CALLER, "channel": "VOICE", "participantId": "p"}},
        {"content": {"type": "TRANSCRIPTION", "text": "Hello"}},
        {"configurationId": "conv_configuration_" + "9" * 26},
        {"author": {"address": "someone@example.com", "channel": "EMAIL", "participantId": "p"}},
    ],
)
async def test_other_events_are_ignored(reach: Reach, change: dict[str, Any]) -> None:
    customer = await reach()
    event = customer.writes("Hello")
    await customer.posts({**event, "data": {**event["data"], **change}})
    await customer.posts({**event, "eventType": "COMMUNICATION_UPDATED"})
    await customer.wait_for_app()
    assert (sent(customer), customer.statuses) == ([], [200, 200])


async def test_an_unreadable_webhook_is_logged_without_its_values(reach: Reach, logged: Callable[[], str]) -> None:
    customer = await reach()
    for data in ({"id": "x", "author": {"channel": "SMS"}, "content": {"text": "secret"}}, ["secret"], None):
        await customer.posts({"eventType": "COMMUNICATION_CREATED", "data": data})
    await customer.wait_for_app()
    assert customer.statuses == [200] * 3
    assert "author.address" in logged() and "secret" not in logged()


async def test_neither_texts_nor_addresses_are_logged(reach: Reach, logged: Callable[[], str]) -> None:
    customer = await reach({"says": "A private answer."})
    await customer.texts("My private question")
    customer.account.conversations.refusals = [400]
    await customer.posts(customer.writes("My private question"))
    await customer.wait_for_app()
    assert "text.answered" in logged() and "text.failed" in logged()
    assert "private" not in logged() and defaults.CALLER.lstrip("+") not in logged()


async def test_a_webhook_that_twilio_has_not_signed_is_refused(reach: Reach) -> None:
    customer = await reach()
    answer = await customer._http.post("/webhooks/conversations", json=customer.writes("Hello"))
    await customer.wait_for_app()
    assert (answer.status_code, sent(customer)) == (403, [])


# --- participants and outgoing messages --------------------------------------------------------------------------


def people(customer: Texter) -> dict[str, str]:
    found = customer.account.conversations.people[customer.conversation]
    return {each["addresses"][0]["address"]: each["type"] for each in found}


async def test_the_agent_joins_the_conversation_once(reach: Reach) -> None:
    customer = await reach()
    await customer.texts("Hello")
    await customer.texts("Again")
    assert people(customer) == {defaults.CALLER: "CUSTOMER", defaults.CALLED: "AI_AGENT"}


async def test_an_author_of_unknown_role_becomes_a_customer_with_a_profile(reach: Reach) -> None:
    customer = await reach()
    customer.account.conversations.roles[defaults.CALLER] = "UNKNOWN"
    event = customer.writes("Hello")
    customer.account.conversations.join(customer.conversation, "UNKNOWN", "SMS", defaults.CALLED)
    await customer.posts(event)
    await customer.reads()
    await customer.wait_for_app()
    assert people(customer) == {defaults.CALLER: "CUSTOMER", defaults.CALLED: "AI_AGENT"}
    profile = customer.account.memory.of(defaults.CALLER)
    assert profile and (await stored(customer)).profile_id == profile.id


async def test_two_workers_that_join_at_once_are_one_participant(reach: Reach, monkeypatch: pytest.MonkeyPatch) -> None:
    customer = await reach()
    event, participants = customer.writes("Hello"), customer.messaging.outbox.participants

    async def overtaken(conversation: str) -> Any:
        found = await participants(conversation)
        if defaults.CALLED not in people(customer):
            customer.account.conversations.join(conversation, "AI_AGENT", "SMS", defaults.CALLED)
        return found

    monkeypatch.setattr(customer.messaging.outbox, "participants", overtaken)
    await customer.posts(event)
    assert await customer.reads() == "Yes."
    assert list(people(customer)) == [defaults.CALLER, defaults.CALLED]


@pytest.mark.parametrize(
    ("channel", "author", "own", "settings"),
    [
        ("WHATSAPP", f"whatsapp:{defaults.CALLER}", "whatsapp:+15005550009", {"whatsapp_number": "+15005550009"}),
        ("RCS", f"rcs:{defaults.CALLER}", "rcs:brand_agent", {"rcs_sender": "brand_agent"}),
        ("CHAT", "ada@example.com", "ai-assistant", {}),
    ],
)
async def test_every_channel_is_answered(
    reach: Reach, channel: str, author: str, own: str, settings: dict[str, Any]
) -> None:
    customer = await reach(author=author, channel=channel, **settings)
    assert await customer.texts("Hello") == "Yes."
    await customer.wait_for_app()
    assert people(customer) == {author: "CUSTOMER", own: "AI_AGENT"}
    assert (await stored(customer)).caller == author.rpartition(":")[2]
    assert sent(customer) == ["Yes."]


@pytest.mark.parametrize(("author", "kind"), [("ada@example.com", "email"), ("ada-4711", "account_id")])
async def test_a_chat_address_is_an_email_or_an_account_id(reach: Reach, author: str, kind: str) -> None:
    async def who() -> str:
        """Say who it is."""
        return this_session().parameters[kind]

    customer = await reach({"calls": {"who": {}}}, tools=[who], author=author, channel="CHAT")
    assert await customer.texts("Me?") == author


async def test_a_send_that_fails_is_tried_again(reach: Reach) -> None:
    customer = await reach()
    customer.account.conversations.refusals = [429, 503, 500]
    assert await customer.texts("Hello") == "Yes."
    await customer.wait_for_app()
    assert sent(customer) == ["Yes."]


async def test_a_message_whose_receipt_is_late_is_not_sent_twice(
    reach: Reach, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    class Late(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            answer = await on_time.handle_async_request(request)
            if request.url.path.endswith("/Actions"):
                raise httpx2.ReadTimeout("late", request=request)
            return answer

    account = SimulatedAccount()
    on_time = account.transport
    monkeypatch.setattr(account, "transport", Late())
    customer = await reach({"says": "Yes."}, account=account)
    assert await customer.texts("Hello") == "Yes."
    await customer.wait_for_app()
    assert sent(customer) == ["Yes."] and "text.unconfirmed" in logged()
    assert texts_of(await stored(customer)) == ["Hello", "Yes."]


@pytest.mark.parametrize(("refusals", "asked"), [([500] * 4, 4), ([400], 1)])
async def test_a_reply_that_cannot_be_sent_is_logged_counted_and_not_in_the_history(
    reach: Reach, logged: Callable[[], str], refusals: list[int], asked: int
) -> None:
    customer = await reach({"hears": "Hello", "says": "Never read."}, {"says": "Yes."})
    customer.account.conversations.refusals = list(refusals)
    await customer.posts(customer.writes("Hello"))
    await customer.wait_for_app()
    actions = [each for each in customer.account.conversations.requests if each.path.endswith("/Actions")]
    assert len(actions) == asked
    assert '"status": 5' in logged() if asked > 1 else '"status": 4' in logged()
    assert "text.failed" in logged() and customer.messaging.counts["failed"] == 1
    assert await customer.texts("Still there?") == "Yes."
    await customer.wait_for_app()
    assert texts_of(await stored(customer)) == ["Hello", "Still there?", "Yes."]


# --- capabilities --------------------------------------------------------------------------------------------------

seen: list[str] = []


class Watching(Capability):
    async def on_start(self, session: Session) -> None:
        seen.append(f"start {session.caller}")

    async def on_resume(self, session: Session) -> None:
        seen.append("resume")

    async def on_end(self, session: Session) -> None:
        seen.append(f"end after {len(session.history)}")


class CallsOnly(Watching):
    spoken_only = True


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    seen.clear()
    monkeypatch.setattr("app.registry.CAPABILITIES", [CallsOnly, Watching])


async def test_capabilities_have_the_same_hooks_as_in_a_call(watched: None, reach: Reach) -> None:
    customer = await reach()
    await customer.texts("Hello")
    await customer.texts("Again")
    await customer.wait_for_app()
    await customer.closes()
    await customer.closes()
    await customer.wait_for_app()
    assert seen == [f"start {defaults.CALLER}", "resume", "end after 4"]


async def test_a_text_between_two_messages_is_sent_after_the_turn_in_progress(reach: Reach) -> None:
    model = HeldModel("Yes.", "A long answer.")
    model.answers.set()
    customer = await reach(models=model.models)
    await customer.texts("Hello")
    await customer.wait_for_app()
    session = await stored(customer)
    await attach(session, customer.messaging.services)
    model.asked.clear()
    model.answers.clear()
    await customer.posts(customer.writes("Again"))
    await model.asked.wait()
    saying = asyncio.create_task(session.say("By the way."))  # not into the reply in progress
    await asyncio.sleep(0)
    model.answers.set()
    await saying
    await customer.wait_for_app()
    assert sent(customer) == ["Yes.", "A long answer.", "By the way."]
    assert texts_of(await stored(customer)) == ["Hello", "Yes.", "Again", "A long answer.", "By the way."]
    await customer.closes()
    await customer.wait_for_app()
    with pytest.raises(NotSupported, match="say"):
        await session.say("Too late.")
    with pytest.raises(NotSupported, match="update_state"):
        await session.connection.update_state({}, None)
    await attach(over := load_session(session.id, dump_session(session), session.now), customer.messaging.services)
    assert not over.connection.open


async def test_a_conversation_that_a_capability_gave_to_a_human_is_left_to_the_human(reach: Reach) -> None:
    class Human(Capability):
        async def is_with_human(self, session: Session) -> bool:
            return session.caller == defaults.CALLER

    customer = await reach(capabilities=[Human])
    await customer.posts(customer.writes("Hello"))
    await customer.wait_for_app()
    assert (sent(customer), customer.messaging.counts["left to a human"]) == ([], 1)


async def test_a_conversation_that_was_closed_is_forgotten(reach: Reach) -> None:
    customer = await reach()
    late = customer.writes("Too late")
    await customer.texts("Hello")
    await customer.wait_for_app()
    await customer.closes()
    await customer.wait_for_app()
    await customer.posts(late)
    await customer.wait_for_app()
    assert await customer.messaging.store.get(f"session:{customer.conversation}") == '"over"'
    assert sent(customer) == ["Yes."]


async def test_the_end_of_a_call_runs_no_hook_of_messaging(watched: None, reach: Reach) -> None:
    customer = await reach()
    await customer.posts({"eventType": "CONVERSATION_UPDATED", "data": {"id": "conv_1", "status": "CLOSED"}})
    await customer.wait_for_app()
    assert seen == []


@pytest.mark.parametrize("hook", [Capability.on_start, Capability.on_resume, Capability.on_end])
async def test_orchestrator_neither_looks_up_nor_closes_a_text_conversation(hook: Any) -> None:
    """A message names its conversation."""
    account = SimulatedAccount()
    app = build_app(account=account, capabilities=[Orchestrator])
    session = Session("conv_1", defaults.CALLER, defaults.CALLED, "en-US", lambda: datetime.now(UTC))
    session.connection.spoken = False
    async with app.router.lifespan_context(app):
        (orchestrator,) = app.state.conversations.capabilities
        await run_hooks([orchestrator], hook, session)
        assert not orchestrator.linking and not orchestrator.closing
    assert account.conversations.requests == []


async def test_a_received_message_is_answered_before_the_server_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    account, model = SimulatedAccount(), HeldModel("Yes.")
    app = build_app(models=model.models, account=account)
    messaging = app.state.conversations.channel("messaging")
    close = messaging.close

    async def answer_and_close() -> None:
        model.answers.set()
        await close()

    monkeypatch.setattr(messaging, "close", answer_and_close)
    async with serve(app) as address:
        customer = Texter(app, address, account, defaults.CALLER, "SMS")
        account.conversations.subscriber = None  # no webhook to a server that stops
        await customer.posts(customer.writes("Hello"))
    await customer.aclose()
    assert sent(customer) == ["Yes."]


# --- the simulated account, and the terminal ---------------------------------------------------------------------


async def test_the_simulated_account_has_the_shapes_of_tac(reach: Reach) -> None:
    """Only where the project has TAC, whose models are what Twilio itself made of these shapes."""
    tac = pytest.importorskip("tac.models.conversation")
    customer = await reach()
    await customer.texts("Hello")
    await customer.wait_for_app()
    conversations = customer.account.conversations
    for message in conversations.messages:
        tac.Communication.model_validate(message)
    for person in conversations.people[customer.conversation]:
        tac.ParticipantResponse.model_validate(person)
    asked = next(each for each in conversations.requests if each.path.endswith("/Actions"))
    tac.SendMessageActionRequest.model_validate(asked.body)
    _, answer = await conversations.act(asked, customer.conversation)
    tac.ActionResponse.model_validate(answer)


async def test_the_helper_library_reads_the_simulated_account(reach: Reach) -> None:
    customer = await reach()
    await customer.texts("Hello")
    await customer.wait_for_app()
    outbox = customer.messaging.outbox
    participant, agent = (await outbox.participants(customer.conversation)).participants
    assert (participant.type, participant.addresses[0]["address"]) == ("CUSTOMER", defaults.CALLER)
    assert (agent.type, agent.conversation_id) == ("AI_AGENT", customer.conversation)


def test_agent_text_answers_typed_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.scripted_model.WORD_DELAY", 0.0)
    typed = "Hello\n/photo\n/human I take over\nHello?\n/close\nAnd now?\n/quit\n"
    result = CliRunner().invoke(cli.app, ["text", "--script"], input=typed)
    silence_logs()
    assert result.exit_code == 0, result.output
    assert 'I heard "Hello".' in result.output and texts.NO_MEDIA in result.output
    assert 'I heard "Hello?"' not in result.output and 'I heard "And now?"' in result.output


async def outcome(path: Path, turns: str) -> list[str]:
    """The failures of a scenario that is a text conversation."""
    file = path / "one.yml"
    file.write_text(
        f"given: {{channel: messaging}}\nmodel: [{{says: It is open.}}]\nturns: {turns}\n", encoding="utf-8"
    )
    return (await play(file)).failures


async def test_a_scenario_can_be_a_text_conversation(tmp_path: Path) -> None:
    expect = "{contains: open, instructions_contain: text message, tools: []}"
    assert await outcome(tmp_path, f"[{{caller: Hello, expect: {expect}}}]") == []
    failures = await outcome(tmp_path, "[{caller: Hello, expect: {contains: closed}}, {silence: 1}]")
    assert len(failures) == 1 and failures[0].startswith("turn 1: 'closed' is missing in")
    assert await outcome(tmp_path, "[{caller: Hello, expect: {phrase: INTRODUCTION}}]") == []


@pytest.mark.parametrize("step", ["answer: true", "dtmf: 12#", "drop: true", "hangup: true", "interrupt_after: open"])
async def test_a_step_of_a_call_is_refused_in_a_text_conversation(tmp_path: Path, step: str) -> None:
    turn = step if not step.startswith("interrupt") else f"caller: Hello, {step}"
    with pytest.raises(ScenarioError, match=rf":3: turns.1.{step.partition(':')[0]}: that cannot be by messaging"):
        await outcome(tmp_path, f"[{{caller: Hello}}, {{{turn}}}]")


async def test_a_message_without_an_answer_fails_a_scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.messaging.outbox.RETRY_DELAYS", ())
    monkeypatch.setattr("kit.simulated_twilio.conversations.LONGEST_TEXT", 3)  # every answer is refused
    assert await outcome(tmp_path, "[{caller: Hello}]") == ["no answer: the app has finished with the message"]


# --- a server that stops -------------------------------------------------------------------------------------------


async def test_a_server_that_drains_finishes_its_answers() -> None:
    account = SimulatedAccount()
    async with serving({"says": "Yes."}, account=account) as (server, address):
        async with texter_on(server.config.app, address, account) as customer:
            event = customer.writes("Hello")
            async with customer.messaging.inbox.turn(customer.conversation):  # delays the reply
                await customer.posts(event)
                signal.raise_signal(signal.SIGTERM)
                await wait_until(lambda: server.draining, "the server does not drain")
                assert await health(address) == (503, {"status": "draining", "active": 1})
                assert not server.should_exit
            assert await customer.reads() == "Yes."
        assert await stopping(server)
