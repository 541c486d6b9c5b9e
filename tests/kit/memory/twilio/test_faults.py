"""Conversation Memory that refuses, fails, is slow or answers nonsense, as the table of docs/operate.md says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from app.memory import Memory
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.product import Answer, Fault, Request
from kit.testing import Begin, Talk
from tests.kit.fault_table import ROWS, holds

RULES: list[dict[str, Any]] = [
    {"hears": "tea", "calls": {"remember": {"fact": "Prefers tea."}}},
    {"says": "Yes."},
]
NONSENSE: list[Any] = ["hello", None, [7], {"profiles": 7}, {"profiles": [{}]}, {"profiles": [7], "observations": "x"}]


@pytest.fixture
def account() -> SimulatedAccount:
    account = SimulatedAccount()
    account.memory.add_caller(defaults.CALLER, observations=["Has a dog."])
    return account


async def goes_on(talk: Talk) -> None:
    """Answers without memories; the model is told that it could not save one."""
    assert (await talk.says("Hello")).text == "Yes."
    assert "Has a dog." not in await talk.instructions()
    assert "could not be kept" in (await talk.says("I like tea")).text


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_memory_that_refuses_or_fails(
    begin: Begin, account: SimulatedAccount, logged: Callable[[], str], status: int
) -> None:
    row = ROWS["Conversation Memory answers 429" if status == 429 else "Conversation Memory answers 500 or 503"]
    account.memory.fault = Fault(status=status)
    talk = await begin(*RULES, account=account, capabilities=[Memory])
    await goes_on(talk)
    assert holds(row, logged()) and f'"status": {status}' in logged()
    assert "nothing" in row.kept and not any("tea" in str(request.body) for request in account.memory.requests[:1])


@pytest.mark.parametrize("nonsense", NONSENSE, ids=str)
async def test_memory_that_answers_something_else(
    begin: Begin, account: SimulatedAccount, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch, nonsense: Any
) -> None:
    async def answers(request: Request) -> Answer:
        return 200, nonsense

    monkeypatch.setattr(account.memory, "answer", answers)
    talk = await begin(*RULES, account=account, capabilities=[Memory])
    await goes_on(talk)
    assert holds(ROWS["Conversation Memory answers nonsense"], logged())


async def test_memory_that_is_slow(
    begin: Begin, account: SimulatedAccount, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    released, answer = asyncio.Event(), account.memory.answer

    async def answers_later(request: Request) -> Answer:
        await released.wait()
        return await answer(request)

    monkeypatch.setattr(account.memory, "answer", answers_later)
    talk = await begin(*RULES, account=account, capabilities=[Memory], memory_budget=0.01)
    assert (await talk.says("Hello")).text == "Yes."
    assert "Has a dog." not in await talk.instructions()
    released.set()
    (memory,) = talk.app.state.conversations.capabilities
    await asyncio.wait([memory.lookups[(await talk.session()).id].task])
    assert (await talk.says("And now?")).text == "Yes."
    assert "Has a dog." in await talk.instructions()
    assert holds(ROWS["Conversation Memory is slow"], logged())
