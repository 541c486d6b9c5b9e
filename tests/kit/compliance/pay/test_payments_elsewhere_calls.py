"""A payment of a call that is recorded, and one whose result another worker gets."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from app.compliance.pay.phrases import phrases
from app.compliance.pay.tests.test_pay import PAYS, YES, results
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, caller_on
from kit.local_server import serve
from kit.scenario import last_instructions
from kit.simulated_twilio.account import SimulatedAccount
from kit.testing import Dial
from kit.voice_fixtures import contents
from kit.webhook import WebhookSender
from kit.workers import Shared

is_recorded = pytest.mark.skipif(not find_spec("app.compliance.recording"), reason="the project records no call")


async def recorded(dial: Dial, **state: Any) -> Call:
    """A call that is recorded, and whose caller wants to pay."""
    account = SimulatedAccount()
    account.keys.append("1")  # agrees to the recording, where callers are asked
    call = await dial(PAYS, YES, account=account)
    account.set_state(state)
    await call.says("I want to pay")
    return call


def statuses(call: Call) -> list[str]:
    return [status for _, status in call.account.recordings.log]


@is_recorded
async def test_a_recording_is_paused_while_the_card_is_taken(dial: Dial) -> None:
    call = await recorded(dial)
    await call.wait_for_end()
    assert call.payment and statuses(call) == ["in-progress", "paused"]
    await call.account.simulate(call, {"pay": "success"})
    assert phrases.PAID in call.greeting and statuses(call) == ["in-progress", "paused", "in-progress"]


@is_recorded
async def test_a_recording_that_twilio_does_not_pause_costs_the_payment_only(dial: Dial) -> None:
    call = await recorded(dial, recordings={"fails": 500})
    await wait_until(lambda: results(call), "the agent does not know the result")
    assert call.payment is None and phrases.NOT_PAID in call.greeting
    assert (await call.says("And now?")).text == "Yes."


async def test_the_call_comes_back_to_another_worker() -> None:
    store, account = Shared(), SimulatedAccount()
    one, other = (build_app(PAYS, YES, store=store, account=account) for _ in range(2))
    async with serve(one) as address, serve(other) as elsewhere, caller_on(one, address, account=account) as call:
        await call.says("I want to pay")
        await call.wait_for_end()
        await call._http.aclose()
        WebhookSender.__init__(call, elsewhere)
        call.app = other
        await account.simulate(call, {"pay": "success"})
        assert phrases.PAID in call.greeting
        assert (await call.says("And now?")).text == "Yes."
        assert "49.90 USD for invoice 12: paid" in last_instructions(call.session)
        assert "I want to pay" in contents(call.session)
