"""Memory belongs to the customer: of calls that the agent makes too, and to nobody when the number is withheld."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from app.memory import Memory
from app.memory.backend import Identity
from app.registry import CAPABILITIES
from kit import defaults
from kit.agent_app import build_app
from kit.caller import Call, caller_on
from kit.local_server import serve
from kit.scenario import last_instructions
from kit.simulated_twilio.account import SimulatedAccount

ADA, BOB, AGENT = defaults.CALLER, "+15005550007", defaults.CALLED
WITHHELD = ["anonymous", "+266696687", "+7378742833", "+86282452253", "Unknown", "client:anonymous", ""]
REMEMBER = {"hears": "remember", "calls": {"remember": {"fact": "Drinks oolong."}}}
HAS_ORCHESTRATOR = any(each.__module__ == "app.orchestrator" for each in CAPABILITIES)


class Line:
    """An app that several people call, or are called by."""

    def __init__(self, app: Any, address: str, account: SimulatedAccount) -> None:
        self.app, self.address, self.account = app, address, account
        self.memory = next(each for each in app.state.conversations.capabilities if isinstance(each, Memory))

    @asynccontextmanager
    async def call(self, caller: str, direction: str = "inbound") -> AsyncGenerator[Call]:
        options = {"caller": caller, "direction": direction, "account": self.account}
        async with caller_on(self.app, self.address, **options) as call:
            if self.memory.lookups.get(call.sid):
                await asyncio.wait([self.memory.lookups[call.sid].task])
            yield call

    async def knows(self, address: str) -> bool:
        return await self.memory.backend.find_profile(Identity("phone", address)) is not None


@pytest.fixture
async def line() -> AsyncGenerator[Line]:
    account = SimulatedAccount()
    app = build_app(REMEMBER, {"hears": "", "says": "Yes."}, account=account)
    async with serve(app) as address:
        yield Line(app, address, account)


async def saves_a_fact(line: Line, caller: str, direction: str = "inbound") -> Call:
    async with line.call(caller, direction) as call:
        await call.says("Please remember that I drink oolong")
    return call


async def hears_of_it(line: Line, caller: str, direction: str = "inbound") -> bool:
    async with line.call(caller, direction) as call:
        await call.says("Hello")
        return "oolong" in last_instructions(call.session)


@pytest.mark.parametrize("later", ["inbound", "outbound"])
async def test_what_a_person_says_when_the_agent_calls_is_of_this_person(line: Line, later: str) -> None:
    await saves_a_fact(line, ADA, "outbound")
    async with asyncio.timeout(20):
        while not await hears_of_it(line, ADA, later):
            await asyncio.sleep(0.05)
    assert not await hears_of_it(line, BOB, later)
    assert not await line.knows(AGENT)


@pytest.mark.parametrize("caller", WITHHELD)
async def test_callers_with_a_withheld_number_share_nothing(line: Line, caller: str) -> None:
    first = await saves_a_fact(line, caller)
    assert "save_summary" not in first.session.actions and first.session.profile_id is None
    assert not await hears_of_it(line, caller)
    assert line.memory.counts["started"] == 0


@pytest.mark.skipif(not HAS_ORCHESTRATOR, reason="the calls of this project have no conversation at Twilio")
@pytest.mark.parametrize("caller", [*WITHHELD, "client:ada", "sip:ada@example.com"])
async def test_a_caller_without_a_number_has_no_profile_of_twilio(line: Line, caller: str) -> None:
    """Twilio may resolve +266696687 to one profile, since it looks like a phone number."""
    async with line.call(caller) as call, asyncio.timeout(20):
        while call.session.conversation_id is None:
            await asyncio.sleep(0.01)
        assert call.session.profile_id is None


@pytest.mark.skipif(not HAS_ORCHESTRATOR, reason="the calls of this project have no conversation at Twilio")
async def test_the_profile_is_of_the_customer_when_twilio_takes_the_agent_for_one(line: Line) -> None:
    async with line.call(ADA, "outbound") as call, asyncio.timeout(20):
        conversation = line.account.conversations.of(call.sid)["id"]
        for person in line.account.conversations.people[conversation]:
            if person["addresses"][0]["address"] == AGENT:
                person |= {"type": "CUSTOMER", "profileId": line.account.memory.resolve(AGENT)}
        line.account.conversations.people[conversation].reverse()
        while call.session.conversation_id is None:
            await asyncio.sleep(0.01)
        customer = line.account.memory.of(ADA)
        assert customer and call.session.profile_id == customer.id
