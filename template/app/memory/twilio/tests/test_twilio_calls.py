"""A conversation leaves memories in Twilio, and the next one has them."""

from __future__ import annotations

import asyncio

import pytest

from app.memory import Memory
from app.memory.backend import Identity
from app.orchestrator import Orchestrator
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.memory import EXTRACTED_AFTER
from kit.voice_fixtures import Dial

ADA = Identity("phone", defaults.CALLER)


class FastOrchestrator(Orchestrator):
    lookup_delays = (0, *[0.01] * 20)


@pytest.fixture
def account() -> SimulatedAccount:
    return SimulatedAccount()


async def test_a_fact_of_one_call_is_known_in_the_next(dial: Dial, account: SimulatedAccount) -> None:
    account.given({"memory": {"extracts": {ADA.value: ["Is moving to Berlin."]}}})
    first = await dial({"says": "Yes."}, account=account, capabilities=[FastOrchestrator, Memory])
    await first.says("I am moving to Berlin")
    await first.hangs_up()  # closes the conversation, from which Twilio extracts memory
    async with asyncio.timeout(10):
        while not (ada := account.memory.of(ADA.value)) or not ada.items["observations"]:
            await asyncio.sleep(0.005)
    account.clock.advance(EXTRACTED_AFTER)
    second = await dial({"says": "Yes."}, account=account, capabilities=[FastOrchestrator, Memory])
    await second.says("Hello")
    assert "Is moving to Berlin." in str(second.session.turn.messages[0].instructions)
    assert second.session.profile_id == ada.id
