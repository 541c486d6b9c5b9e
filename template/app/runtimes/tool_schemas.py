"""Every tool that the agent may use, for commands that describe them to a service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI


def offered() -> list[Callable[..., Any]]:
    """The tools of `agent/tools.py`, and those that the capabilities have for a call."""
    from app.log import configure_logging
    from app.main import create_app
    from kit import defaults
    from kit.scripted_model import echo_model
    from kit.simulated_twilio.account import SimulatedAccount

    configure_logging("error")
    return asyncio.run(
        tools_of(create_app(defaults.settings(), [echo_model()], transport=SimulatedAccount().transport))
    )


async def tools_of(app: FastAPI) -> list[Callable[..., Any]]:
    from app.capability import each
    from app.session import Session
    from kit.defaults import CALLED, CALLER

    brain = app.state.conversations.brain
    session = Session("CA", CALLER, CALLED, "en-US", lambda: datetime.now(UTC))
    async with app.router.lifespan_context(app):
        await each(brain.capabilities, "on_start", session)
        extra = [tool for tools in await each(brain.capabilities, "tools", session) for tool in tools]
    own = {tool.__name__ for tool in brain.tools}
    return [*brain.tools, *(tool for tool in extra if tool.__name__ not in own)]
