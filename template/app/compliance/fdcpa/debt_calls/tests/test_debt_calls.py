"""What a person hears in a call about a debt, and what the ledger keeps of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import select

from app.compliance.fdcpa import sentences
from app.compliance.fdcpa.debt_calls import BEFORE, UNVERIFIED
from app.compliance.fdcpa.debt_calls.words import is_about_debt
from app.outbound import Outbound
from app.outbound.ledger import Entry
from app.outbound.phrases import phrases
from app.outbound.tests.dialing import ADA, Clock, contact
from app.registry import load_prompt
from kit.agent_app import build_app
from kit.caller import Call, caller_on
from kit.local_server import serve
from kit.scenario import last_instructions

CONFIRMED = [
    {"hears": "born", "calls": {"person_confirmed": {}}},
    {"says": "May I ask for your date of birth?"},
]
Rung = Callable[..., Any]


@pytest.fixture
async def rung() -> AsyncGenerator[Rung]:
    """A call about a debt: the agent calls Ada, or Ada calls in."""
    async with AsyncExitStack() as stack:

        async def ring(
            *rules: dict[str, Any],
            inbound: bool = False,
            known: bool = False,
            answered_by: str = "human",
            tools: Any = (),
        ) -> Call:
            app = build_app(*(rules or CONFIRMED), now=Clock(), tools=tools)
            address = await stack.enter_async_context(serve(app))
            if known or not inbound:
                who = contact(purpose="debt", debt="loan")
                assert (await outbound(app).dialer.call(who, "spring")).result == "called"
            parties = {} if inbound else {"direction": "outbound", "answered_by": answered_by}
            call = caller_on(app, address, account=app.state.account, caller=ADA, **parties)
            return await stack.enter_async_context(call)

        yield ring


def outbound(app: Any) -> Outbound:
    return next(each for each in app.state.conversations.capabilities if isinstance(each, Outbound))


async def kinds(call: Call) -> list[str]:
    async with outbound(call.app).ledger.database.begin() as database:
        return [json.loads(body)["kind"] for body in (await database.execute(select(Entry.body))).scalars()]


async def test_the_notice_is_spoken_after_the_person_is_confirmed_and_cannot_be_interrupted(rung: Rung) -> None:
    call = await rung()
    assert sentences.MINI_MIRANDA not in (await call.says("Yes?")).text
    assert BEFORE in last_instructions(call.session)
    said = (await call.says("I was born on the first of May.")).text
    assert said.startswith(sentences.MINI_MIRANDA)
    (frame,) = [frame for frame in call.frames if sentences.MINI_MIRANDA in frame.get("token", "")]
    assert frame["interruptible"] is False
    await call.says("All right.")
    assert BEFORE not in last_instructions(call.session) and UNVERIFIED not in last_instructions(call.session)


TALKS = [
    {"hears": "about", "says": "You owe 300 dollars to the Bank of Foo. What is your date of birth?"},
    {"hears": "how much", "calls": {"balance": {}}},
    {"hears": "born", "calls": {"person_confirmed": {"detail": "the first of May"}}},
    {"says": "Yes."},
]


class Balance:
    """A tool of the owner's, and what became of it."""

    def __init__(self) -> None:
        self.calls = 0

    async def balance(self) -> str:
        """Say what the person owes."""
        self.calls += 1
        return "The person owes 300 dollars to the Bank of Foo."


@pytest.mark.parametrize("inbound", [False, True])
async def test_the_model_cannot_say_what_it_does_not_know(rung: Rung, inbound: bool) -> None:
    """Also when the person calls back. Neither prompt nor tools have the reason of the call before."""
    own = Balance()
    call = await rung(*TALKS, inbound=inbound, known=True, tools=[own.balance])
    said = (await call.says("How much is it?")).text
    assert own.calls == 0 and "300" not in said and "Foo" not in str(call.session.history)
    instructions = last_instructions(call.session)
    assert BEFORE in instructions and load_prompt().strip() not in instructions and not is_about_debt(BEFORE)
    await call.says("I was born on the first of May.")
    said = (await call.says("And how much is it?")).text
    assert own.calls == 1 and load_prompt().strip() in last_instructions(call.session)


async def test_what_the_model_says_of_a_debt_is_held_back_before(rung: Rung) -> None:
    call = await rung(*TALKS)
    said = (await call.says("What is it about?")).text
    assert said == f"{sentences.NOT_YET} What is your date of birth?"
    assert (await call.says("All right.")).text == "Yes."
    assert "owe" not in str(call.session.history)
    await call.says("I was born on the first of May.")
    assert "You owe 300 dollars" in (await call.says("What is it about?")).text


@pytest.mark.parametrize("found", [False, None, "yes", OSError("no answer")])
async def test_only_the_owners_yes_confirms_a_person(rung: Rung, monkeypatch: pytest.MonkeyPatch, found: Any) -> None:
    async def is_right_person(number: str, detail: str) -> Any:
        assert (number, detail) == (ADA, "the first of May")
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(sentences.own, "is_right_person", is_right_person, raising=False)
    call = await rung(*TALKS)
    assert sentences.MINI_MIRANDA not in (await call.says("I was born on the first of May.")).text
    await call.says("What is it about?")
    assert BEFORE in last_instructions(call.session)
    monkeypatch.setattr(sentences.own, "is_right_person", lambda *_: answered(True), raising=False)
    assert sentences.MINI_MIRANDA in (await call.says("I was born on the first of May.")).text


async def answered(value: bool) -> bool:
    return value


async def test_a_ledger_that_does_not_answer_gives_no_debt_away(rung: Rung, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_: Any) -> bool:
        raise OSError("the database is down")

    monkeypatch.setattr("app.outbound.ledger.Ledger.is_about_debt", breaks)
    call = await rung(inbound=True)
    await call.says("Hello?")
    assert BEFORE in last_instructions(call.session)


async def test_other_calls_have_the_agents_prompt(rung: Rung) -> None:
    call = await rung(inbound=True)
    await call.says("Hello?")
    instructions = last_instructions(call.session)
    assert load_prompt().strip() in instructions and UNVERIFIED in instructions


@pytest.mark.parametrize(
    "text",
    [
        "You owe us.",
        "It is about your debt.",
        "Your payment is late.",
        "It is $300.",
        "Tiene una deuda.",
        "Debe pagar hoy.",
    ],
)
def test_words_about_debts_are_known(text: str) -> None:
    assert is_about_debt(text)


@pytest.mark.parametrize(
    "text",
    [
        "Am I speaking with Bill Owens?",
        "I feel you.",
        "One moment, please.",
        "Is this a good moment?",
        "¿Hablo con Paula?",
    ],
)
def test_other_words_are_not(text: str) -> None:
    assert not is_about_debt(text) and is_about_debt(text, [text[:4].upper()])


async def test_the_ledger_has_the_notice_once_it_was_heard(rung: Rung) -> None:
    call = await rung()
    await call.says("I was born on the first of May.")
    await call.says("I was born on the first of May, I said.")
    assert (await kinds(call)).count("notice") == 1
    assert call.session.state["debt"]["notice"] == "heard"


@pytest.mark.parametrize("inbound", [False, True])
async def test_a_conversation_is_kept_at_its_first_words(rung: Rung, inbound: bool) -> None:
    call = await rung(inbound=inbound)
    assert "conversation" not in await kinds(call)
    await call.says("Yes?")
    await call.says("Who is this?")
    assert (await kinds(call)).count("conversation") == 1
    later = await outbound(call.app).dialer.would_call(contact(purpose="debt", debt="loan"), "next")
    assert later.gate == "attempts" and "conversation" in later.reason


async def test_a_machine_gets_a_limited_message_and_counts_as_no_conversation(rung: Rung) -> None:
    call = await rung(answered_by="machine_end_beep")
    assert call.farewell == sentences.LIMITED_CONTENT.format(
        person="Ann Example", business="Example Company", number=digits(call)
    )
    assert phrases.INTRODUCTION not in call.farewell and "debt" not in call.farewell.lower()
    assert "conversation" not in await kinds(call)


def digits(call: Call) -> str:
    options = outbound(call.app).options
    return " ".join((options.callback_number or options.phone_number).removeprefix("+"))
