"""What calls count: one that drops, comes back, is lost or turned away, and a caller who says nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kit.activity import wait_until
from kit.testing import Dial
from kit.voice_fixtures import HeldModel
from tests.kit.counting import Counted

FAILED = {"CallStatus": "in-progress", "SessionStatus": "failed", "ErrorCode": "64105"}


@pytest.fixture
def counted() -> Counted:
    return Counted()


async def test_a_call_that_comes_back_and_one_that_does_not(dial: Dial, counted: Counted) -> None:
    call = await dial(capabilities=counted.capabilities())
    await call.drops()
    await call.says("Hello")
    assert counted.of("call") == [("started",), ("reconnecting",), ("resumed",)]
    await call.post("/connect-action", call.form(**FAILED))
    assert counted.of("call")[3:] == [("lost",)]


async def test_a_turn_is_lost_when_its_call_drops(dial: Dial, counted: Counted, held: HeldModel) -> None:
    call = await dial(models=held.models, capabilities=counted.capabilities())
    await call.begins("Count")
    await call.hears("red")
    await call.drops()
    await wait_until(lambda: counted.of("turn_lost"), "no turn was lost")
    assert counted.of("turn_lost") == [("voice", "disconnected")]
    await held.ends()


async def test_an_interrupted_turn_is_not_lost(dial: Dial, counted: Counted, held: HeldModel) -> None:
    call = await dial(models=held.models, capabilities=counted.capabilities())
    await call.begins("Count")
    await call.hears("red")
    await call.interrupts()
    await held.ends()
    await call.hangs_up()
    await wait_until(lambda: not call.session.connection.open, "the call did not end")
    assert counted.of("turn_lost") == []


async def test_a_call_that_is_turned_away(dial: Dial, counted: Counted) -> None:
    await dial(off=True, capabilities=counted.capabilities())
    assert counted.of("limit") == [("off",)] and not counted.of("call")


async def test_a_caller_who_says_nothing(dial: Dial, counted: Counted, advance_clock: Callable[[float], None]) -> None:
    call = await dial(silence=10, capabilities=counted.capabilities())
    for number, outcome in enumerate(["asked", "ended"], 1):
        advance_clock(30)
        await wait_until(lambda number=number: len(counted.of("silence")) == number, "the silence was not noticed")
        assert counted.of("silence")[-1] == (outcome,)
    await call.wait_for_end()


async def test_a_model_that_fails_is_an_apology(dial: Dial, counted: Counted) -> None:
    call = await dial({"fails": True}, capabilities=counted.capabilities())
    await call.says("Hello")
    assert counted.of("apology") == [()]


async def test_a_signal_of_twilio_is_received_before_it_is_handled(dial: Dial, counted: Counted) -> None:
    twilio = pytest.importorskip("app.intelligence.twilio.tests.test_intelligence", reason="no signals of Twilio")
    call = await dial(capabilities=counted.capabilities())
    await twilio.sends(call, twilio.body_of(call, sentiment="positive"))
    await wait_until(lambda: len(counted.of("signal")) > 1, "the signal was not handled")
    assert counted.of("signal")[0] == ("sentiment", "received")
    await twilio.sends(call, {"nothing": "of it"})
    await wait_until(lambda: ("unknown", "unreadable") in counted.of("signal"), "the body was read")


async def test_an_evaluator_without_an_answer_is_counted(
    dial: Dial, counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = pytest.importorskip("app.intelligence.local", reason="signals are Twilio's, if there are any")

    async def fail(*_: object) -> str:
        raise ConnectionError

    monkeypatch.setattr(local.LocalIntelligence, "ask", fail)
    call = await dial(capabilities=counted.capabilities(), evaluate=True)
    await call.says("Hello")
    await wait_until(lambda: counted.of("signal"), "nothing was evaluated")
    assert {outcome for _, outcome in counted.of("signal")} == {"not_evaluated"}
