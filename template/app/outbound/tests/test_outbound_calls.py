"""Calls that the agent begins, from the side of the person who is called."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from fastapi import FastAPI

from app.outbound import Outbound, outcome_of
from app.outbound.phrases import phrases
from app.outbound.tests.dialing import ADA, Clock, contact
from app.voice.phrases import phrases as spoken
from kit.agent_app import build_app
from kit.caller import Call, caller_on
from kit.local_server import serve

Rung = Callable[..., Any]


def outbound(app: FastAPI) -> Outbound:
    return next(each for each in app.state.conversations.capabilities if isinstance(each, Outbound))


@pytest.fixture
async def rung() -> AsyncGenerator[Rung]:
    """The agent calls Ada, who takes the call."""
    async with AsyncExitStack() as stack:

        async def ring(*rules: dict[str, Any], answered_by: str = "human", keys: str = "", **settings: Any) -> Call:
            app = build_app(*rules, now=Clock(), **settings)
            address = await stack.enter_async_context(serve(app))
            assert (await outbound(app).dialer.call(contact(), "spring")).result == "called"
            app.state.account.keys = list(keys)
            parties = {"caller": ADA, "direction": "outbound", "answered_by": answered_by}
            return await stack.enter_async_context(caller_on(app, address, account=app.state.account, **parties))

        yield ring


async def suppressed(call: Call) -> str | None:
    return await outbound(call.app).ledger.suppressed(ADA)


async def outcomes(call: Call) -> list[str]:
    ledger = outbound(call.app).ledger
    async with ledger.reading() as turn:
        history = await turn.history(await turn.person(ADA))
    return [each.outcome for each in history.calls.values()]


async def test_the_person_hears_who_calls_and_the_way_out_before_anything_else(rung: Rung) -> None:
    call = await rung()
    assert call.opening.startswith(f"{phrases.INTRODUCTION} {phrases.OPT_OUT}")  # what is recorded is said after it
    assert phrases.MOMENT in call.greeting
    assert (await call.says("Yes.")).text == "Yes."
    assert call.session.greeting == f"{phrases.INTRODUCTION} {phrases.OPT_OUT} {call.greeting}"


async def test_key_9_ends_the_call_and_all_later_ones(rung: Rung) -> None:
    call = await rung(keys="9")
    assert call.ended_by == "agent" and phrases.OPTED_OUT in call.farewell
    assert await suppressed(call) == "key 9"
    assert (await outbound(call.app).dialer.call(contact(), "autumn")).gate == "do not call"


async def test_another_key_goes_on(rung: Rung) -> None:
    call = await rung(keys="1")
    assert phrases.MOMENT in call.greeting and await suppressed(call) is None


@pytest.mark.parametrize("keys", ["1", "2", "11", "12", ""])
async def test_whatever_comes_between_the_agent_does_not_greet_a_caller(rung: Rung, keys: str) -> None:
    """Keys answer what other capabilities ask, such as for a recording. The project's greeting is for callers."""
    call = await rung(keys=keys)
    assert phrases.MOMENT in call.greeting and spoken.GREETING not in call.greeting
    assert call.opening.count(phrases.INTRODUCTION) == 1 and phrases.INTRODUCTION not in call.greeting


async def test_the_person_hears_who_calls_also_when_a_hook_fails(rung: Rung, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks(*_: Any) -> str:
        raise OSError("the store is down")

    monkeypatch.setattr(Outbound, "go_on", breaks)
    call = await rung()
    assert f"{phrases.INTRODUCTION} {phrases.OPT_OUT} {phrases.MOMENT}" in call.greeting


async def test_words_end_the_call_and_all_later_ones(rung: Rung) -> None:
    """Also when the model takes no notice: it would say something else."""
    call = await rung({"says": "We have a great offer."})
    turn = await call.begins("Please stop calling me.")
    await call.hears_reply(turn)
    await call.wait_for_end()
    assert phrases.OPTED_OUT in turn.text and "offer" not in turn.text
    assert call.ended_by == "agent" and await suppressed(call) == "in a call"


async def test_other_words_do_not(rung: Rung) -> None:
    call = await rung({"says": "Fine."})
    assert (await call.says("Can you call me back tomorrow?")).text == "Fine."
    assert await suppressed(call) is None


async def test_the_model_has_a_tool_for_words_that_it_alone_understands(rung: Rung) -> None:
    call = await rung({"hears": "Nie wieder", "calls": {"do_not_call": {}}}, {"says": "Yes."})
    await call.says("Nie wieder anrufen!")
    assert await suppressed(call) == "in a call"


async def test_a_caller_who_calls_in_can_refuse_calls_too(rung: Rung) -> None:
    app = build_app({"says": "You will not be called."}, now=Clock())
    async with serve(app) as address, caller_on(app, address, account=app.state.account, caller=ADA) as call:
        assert phrases.INTRODUCTION not in call.opening + call.greeting
        assert (await call.says("Stop calling me!")).text == "You will not be called."
        assert call.ended_by is None and await outbound(app).ledger.suppressed(ADA) == "in a call"


@pytest.mark.parametrize("answered_by", ["machine_end_beep", "machine_end_silence", "machine_end_other"])
async def test_a_machine_gets_a_message_with_the_number_to_call_back(rung: Rung, answered_by: str) -> None:
    call = await rung(answered_by=answered_by, callback_number="+18005550123")
    assert call.ended_by == "agent" and call.relay is None
    number = "1 8 0 0 5 5 5 0 1 2 3"
    limited = [regime.message(number) for regime in outbound(call.app).dialer.regimes if regime.message(number)]
    assert call.farewell == (limited or [f"{phrases.INTRODUCTION} {phrases.VOICEMAIL.format(number=number)}"])[0]
    await call.aclose()
    assert await outcomes(call) == ["voicemail"]


@pytest.mark.parametrize("answered_by", ["fax", "machine_start"])
async def test_what_would_hear_a_message_in_part_gets_none(rung: Rung, answered_by: str) -> None:
    call = await rung(answered_by=answered_by)
    assert call.ended_by == "agent" and call.farewell == "" and call.relay is None


@pytest.mark.parametrize("answered_by", ["human", "unknown", ""])
async def test_a_party_that_may_be_a_person_gets_the_agent(rung: Rung, answered_by: str) -> None:
    call = await rung(answered_by=answered_by)
    assert call.opening.startswith(phrases.INTRODUCTION) and call.relay
    await call.hangs_up()
    assert await outcomes(call) == ["answered"]


async def test_an_opt_out_is_kept_when_the_database_comes_back(
    rung: Rung, monkeypatch: pytest.MonkeyPatch, logged: Any
) -> None:
    monkeypatch.setattr("app.outbound.RETRY_DELAYS", (0.01, 0.01))
    call = await rung(keys="")
    ledger, tries = outbound(call.app).ledger, list[str]()
    suppress = ledger.suppress

    async def fails_first(number: str, reason: str) -> None:
        tries.append(reason)
        if len(tries) < 3:
            raise OSError(number)
        await suppress(number, reason)

    monkeypatch.setattr(ledger, "suppress", fails_first)
    await outbound(call.app).refuse(ADA, "key 9")
    assert await suppressed(call) == "key 9" and len(tries) == 3 and "2125550123" not in logged()


@pytest.mark.parametrize(
    ("form", "outcome"),
    [
        ({"CallStatus": "completed", "AnsweredBy": "human"}, "answered"),
        ({"CallStatus": "completed"}, "answered"),
        ({"CallStatus": "completed", "AnsweredBy": "machine_end_beep"}, "voicemail"),
        ({"CallStatus": "completed", "AnsweredBy": "fax"}, "fax"),
        ({"CallStatus": "busy"}, "busy"),
        ({"CallStatus": "no-answer"}, "no-answer"),
        ({"CallStatus": "canceled"}, "canceled"),
        ({}, "failed"),
    ],
)
def test_an_outcome_is_what_twilio_says(form: dict[str, str], outcome: str) -> None:
    assert outcome_of(form) == outcome
