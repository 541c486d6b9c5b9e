"""A ledger whose database fails: no call is placed, as the table of docs/operate.md says."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from app.capability import Timeouts
from app.outbound import Outbound
from app.outbound.dialer import Dialer
from app.outbound.ledger import Turn
from app.outbound.tests.dialing import ADA, BOB, Clock, contact, dialer
from kit import defaults
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.plugin import Web
from kit.simulated_twilio.account import SimulatedAccount
from tests.kit.database.sick_files import FAULTS, sick
from tests.kit.fault_table import ROWS, holds
from tests.kit.routes import CONTACT, OPENING, TOKEN

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
            results = [await broken.call(contact(f"+1312555{number:04d}"), "spring") for number in range(20)]
            assert {result.result for result in results} <= {"called", "failed"}
            assert (results[-1].gate, results[-1].reason) == ("ledger", "the ledger does not answer (OperationalError)")
            assert (await broken.would_call(contact(BOB), "spring")).gate == ("ledger" if fault == "locked" else "")
            placed = len(account.calls.records)
            assert placed == 1 + [result.result for result in results].count("called")
            assert holds(ROWS[NAME], logged(), "outbound.not_kept")
            assert "1312555" not in logged()
            await broken.close()
        again = opened(f"sqlite:///{file}")
        found = await again.ledger.verify()
        assert found.problems == [] and found.verdicts >= placed and (placed == 1 or fault == "full")
        assert (await again.call(contact(BOB), "spring")).result == "called"


@pytest.mark.parametrize("dry_run", [False, True])
async def test_another_system_asks_for_a_call_without_a_ledger(
    no_thread_is_left: None, tmp_path: Path, logged: Callable[[], str], dry_run: bool
) -> None:
    row = ROWS["the ledger's database does not answer, and another system asks for a call"]
    async with opened(tmp_path) as (app, http):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        answer = await http.post("/outbound/calls", json={**CONTACT, "dry_run": dry_run}, headers=headers)
        assert answer.status_code == 503 and "Retry-After" in answer.headers
        assert answer.json() == {"detail": "No call was placed: the ledger does not answer (OperationalError)."}
        assert not app.state.account.calls.records and holds(row, logged(), "capability.failed")
        assert ADA not in logged() and "Traceback" not in logged().partition("outbound.ledger_down")[2]
        (tmp_path / "missing").mkdir()
        answer = await http.post("/outbound/calls", json={**CONTACT, "dry_run": dry_run}, headers=headers)
        assert answer.status_code == 200 and len(app.state.account.calls.records) == (not dry_run)


async def test_a_call_ends_without_a_ledger(
    no_thread_is_left: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    monkeypatch.setattr("app.outbound.RETRY_DELAYS", (0.01,) * 500)
    row = ROWS["the ledger's database does not answer when a call ends"]
    async with opened(tmp_path) as (app, http):
        form = {"CallSid": "CA1", "From": defaults.CALLED, "To": ADA, "Direction": "outbound-api"}
        answer = await Web(http).post("/outbound/status", {**form, "CallStatus": "completed"})
        assert answer.status_code == 204
        (tmp_path / "missing").mkdir()
        (outbound,) = [each for each in app.state.conversations.capabilities if isinstance(each, Outbound)]
        await wait_until(lambda: not outbound.saving, "the outcome was not written")
        assert holds(row, logged(), "capability.failed") and ADA not in logged()


async def test_a_placed_call_that_cannot_be_noted_counts(
    no_thread_is_left: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    """Twilio has placed it: the answer has its SID, and the person is not called again."""
    clock, account = Clock(), SimulatedAccount()
    own = dialer(clock, account, database_url=f"sqlite:///{tmp_path}/agent.db")

    async def fails(*args: object, **data: object) -> int:
        raise OSError(ADA)

    with monkeypatch.context() as patch:
        patch.setattr(own, "sleep", lambda seconds: patch.setattr(Turn, "append", fails) or clock.sleep(seconds))
        result = await own.call(contact(ADA), "spring")
    assert (result.result, result.call_sid) == ("called", *account.calls.records) and "not_kept" in logged()
    assert (await own.call(contact(ADA), "spring")).gate == "once" and "2125550123" not in logged()
    assert (await own.ledger.verify()).problems == []
    await own.close()


@asynccontextmanager
async def opened(tmp_path: Path) -> AsyncGenerator[tuple[FastAPI, httpx2.AsyncClient]]:
    """A server whose database is a file in a folder that is missing."""
    url = f"sqlite:///{tmp_path}/missing/agent.db"
    app = build_app({"says": "Yes."}, now=Clock(), database_url=url, timeouts=Timeouts(hook=0.2), **OPENING)
    transport = httpx2.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=transport, base_url="http://10.0.0.7:8000") as http,
    ):
        yield app, http
