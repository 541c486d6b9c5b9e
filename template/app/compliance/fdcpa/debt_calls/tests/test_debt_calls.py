"""What a person hears in a call about a debt, and what the ledger keeps of it."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from sqlalchemy import select

from app.compliance.fdcpa import sentences
from app.compliance.fdcpa.debt_calls import UNVERIFIED
from app.outbound import Outbound
from app.outbound.ledger import Entry
from app.outbound.phrases import phrases
from app.outbound.tests.dialing import ADA, Clock, contact
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

        async def ring(*rules: dict[str, Any], inbound: bool = False, answered_by: str = "human") -> Call:
            app = build_app(*(rules or CONFIRMED), now=Clock())
            address = await stack.enter_async_context(serve(app))
            if not inbound:
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
    assert UNVERIFIED in last_instructions(call.session)
    said = (await call.says("I was born on the first of May.")).text
    assert said.startswith(sentences.MINI_MIRANDA)
    (frame,) = [frame for frame in call.frames if sentences.MINI_MIRANDA in frame.get("token", "")]
    assert frame["interruptible"] is False
    await call.says("All right.")
    assert UNVERIFIED not in last_instructions(call.session)


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
