"""A reply in time from a model that is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

import pytest

from app import Session
from app.brain import Brain
from app.capability import Services
from app.runtimes import Runtime
from app.store import InProcess
from app.turn import Turn
from kit import defaults


class SilentRuntime(Runtime):
    """Yields `tokens`, then nothing for ever."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens

    build = model_names = missing_env = None  # type: ignore[assignment]

    async def answer(self, session: Session, turn: Turn, instructions: str, tools: Any) -> AsyncGenerator[str]:
        for token in self.tokens:
            yield token
        await asyncio.Event().wait()


HOLD = "One moment."
SCHEDULES = {  # of a model with a deadline of 5 seconds: the second at which each token of the reply comes
    "silent": ((), HOLD, [(5.0, "One moment. "), (25.0, " Sorry.")]),
    "silent in a text conversation": ((), "", [(20.0, "Sorry.")]),
    "silent after two": (("1 ", "2 "), HOLD, [(0.0, "1 "), (0.0, "2 "), (5.0, "One moment. "), (25.0, " Sorry.")]),
}


@pytest.mark.virtual_time
@pytest.mark.parametrize(("tokens", "hold", "schedule"), SCHEDULES.values(), ids=SCHEDULES.keys())
async def test_a_model_that_is_silent_gets_hold_and_then_an_apology(
    tokens: Any, hold: str, schedule: list[tuple[float, str]]
) -> None:
    services = Services(defaults.settings(), InProcess(), lambda: datetime.now(UTC))
    session = Session("CA1", "", "", "en-US", services.now)
    session.connection.hold, session.connection.apology = hold, "Sorry."
    reply = Brain(SilentRuntime(*tokens), "Be brief.", [], services, deadline=5.0).reply(session, "Hello")
    assert [(asyncio.get_running_loop().time(), token) async for token in reply] == schedule
