"""AGENT_OFF: nobody is called, by the dialer or by the route, and nothing is written."""

from __future__ import annotations

from pathlib import Path

from app.outbound.tests.dialing import Clock, contact, dialer
from app.outbound.tests.test_route import Open, opened
from kit.simulated_twilio.account import SimulatedAccount

__all__ = ["opened"]  # a fixture


async def test_the_dialer_calls_nobody(tmp_path: Path) -> None:
    account, url = SimulatedAccount(), f"sqlite:///{tmp_path}/ledger.db"
    off = dialer(Clock(), account, off=True, database_url=url)
    result = await off.call(contact(), "spring")
    assert (result.result, result.gate) == ("refused", "off") and "AGENT_OFF" in result.reason
    assert not (await off.would_call(contact(), "spring")).allowed
    assert not account.calls.records
    await off.close()


async def test_the_route_calls_nobody(opened: Open) -> None:
    route = await opened(off=True)
    answer = (await route.post()).json()
    assert (answer["result"], answer["gate"]) == ("refused", "off") and not route.account.calls.records


async def test_without_it_the_same_person_is_called(opened: Open) -> None:
    assert (await (await opened()).post()).json()["result"] == "called"
