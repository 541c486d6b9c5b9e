"""A ledger in a file that is locked, read-only or full: no call is placed, as the table of docs/operate.md says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from app.outbound.dialer import Dialer
from app.outbound.tests.dialing import ADA, BOB, Clock, contact, dialer
from kit.simulated_twilio.account import SimulatedAccount
from tests.kit.database.sick_files import FAULTS, sick
from tests.kit.fault_table import ROWS, holds

pytest_plugins = ["app.database.tests.servers"]
NAME = "the ledger's database is locked, read-only or full"


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_ledger_that_is_sick(
    no_thread_is_left: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str], fault: str
) -> None:
    file, clock, account = tmp_path / "agent.db", Clock(), SimulatedAccount()
    async with AsyncExitStack() as stack:

        def opened(url: str) -> Dialer:
            own = dialer(clock, account, database_url=url)
            stack.push_async_callback(own.close)
            return own

        healthy = opened(f"sqlite:///{file}")
        assert (await healthy.call(contact(ADA), "spring")).result == "called"
        await healthy.close()
        async with sick(file, fault, monkeypatch) as url:
            broken = opened(url)
            with pytest.raises(OperationalError):
                for number in range(20):
                    await broken.call(contact(f"+1312555{number:04d}"), "spring")
            placed = len(account.calls.records)
            assert holds(ROWS[NAME], logged())
            await broken.close()
        again = opened(f"sqlite:///{file}")
        found = await again.ledger.verify()
        assert found.problems == [] and found.verdicts >= placed and (placed == 1 or fault == "full")
        assert (await again.call(contact(BOB), "spring")).result == "called"
