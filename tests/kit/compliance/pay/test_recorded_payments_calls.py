"""A call that is recorded, and that pays: the recordings at Twilio pause while it takes the card."""

from __future__ import annotations

import pytest

from app import registry
from app.compliance.pay.tests.test_pay import in_pay
from app.compliance.recorder import Recorder
from kit.simulated_twilio.account import SimulatedAccount
from kit.testing import Dial

RECORDS = any(issubclass(capability, Recorder) for capability in registry.CAPABILITIES)


@pytest.mark.skipif(not RECORDS, reason="this project does not record")
async def test_nothing_is_recorded_while_twilio_takes_the_card(dial: Dial) -> None:
    account = SimulatedAccount()
    account.keys.append("1")  # agrees to the recording, where callers are asked
    call = await in_pay(dial, account=account)
    assert [each["status"] for each in account.recordings.of(call.sid)] == ["paused"]
    await account.simulate(call, {"pay": "success"})
    assert [status for _, status in account.recordings.log] == ["in-progress", "paused", "in-progress"]
