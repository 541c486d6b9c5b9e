"""Orchestrator and conversations in writing: a message names its conversation, so there is nothing to look up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.capability import Capability, run_hooks
from app.orchestrator import Orchestrator
from app.session import Session
from kit import defaults
from kit.agent_app import build_app
from kit.simulated_twilio.account import SimulatedAccount


@pytest.mark.parametrize("hook", [Capability.on_start, Capability.on_resume, Capability.on_end])
async def test_a_conversation_in_writing_is_neither_looked_up_nor_closed(hook: Any) -> None:
    account = SimulatedAccount()
    app = build_app(account=account, capabilities=[Orchestrator])
    session = Session("conv_1", defaults.CALLER, defaults.CALLED, "en-US", lambda: datetime.now(UTC))
    session.connection.spoken = False
    async with app.router.lifespan_context(app):
        (orchestrator,) = app.state.conversations.capabilities
        await run_hooks([orchestrator], hook, session)
        assert not orchestrator.linking and not orchestrator.closing
    assert account.conversations.requests == []
