"""The same person, on the phone and in writing."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.main import create_app
from kit import defaults
from kit.caller import caller_on
from kit.conventions import played
from kit.local_server import serve
from kit.simulated_twilio.account import SimulatedAccount
from kit.texter import Texter


async def test_whoever_calls_and_then_texts_is_known() -> None:
    """Only where the project has a memory: it knows people by their number, however they reach the agent."""
    memory = pytest.importorskip("app.memory")
    from kit.conventions import givens

    account, told_model = SimulatedAccount(), list[str]()

    async def stream(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        told_model.append(info.instructions or "")
        yield "Yes."

    app = create_app(
        defaults.settings(), [played(FunctionModel(stream_function=stream))], [], transport=account.transport
    )
    async with serve(app) as address:
        await givens()["memory"](app, account, {"callers": {defaults.CALLER: {"observations": ["Likes tea."]}}})
        async with caller_on(app, address, account=account) as call:
            await call.stays_silent(1000)
            await call.says("Hello")
        customer = Texter(app, address, account, defaults.CALLER, "SMS")
        await customer.texts("Hello again")
        await customer.settles()
        await customer.aclose()
    assert memory and ["Likes tea." in told for told in told_model] == [True, True]
