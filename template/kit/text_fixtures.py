"""Fixtures of messages: a customer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest

from kit import defaults
from kit.agent_app import build_app
from kit.simulated_twilio.account import SimulatedAccount
from kit.texter import Texter, texter


class Reach(Protocol):
    async def __call__(
        self,
        *rules: dict[str, Any],
        account: SimulatedAccount | None = None,
        author: str = defaults.CALLER,
        channel: str = "SMS",
        **options: Any,
    ) -> Texter: ...


@pytest.fixture
async def reach() -> AsyncGenerator[Reach]:
    """A customer of an agent whose model follows `rules`. `options` are those of `kit.agent_app.build_app`."""
    async with AsyncExitStack() as stack:

        async def begin(
            *rules: dict[str, Any],
            account: SimulatedAccount | None = None,
            author: str = defaults.CALLER,
            channel: str = "SMS",
            **options: Any,
        ) -> Texter:
            account = account or SimulatedAccount()
            app = build_app(*rules, account=account, **options)
            return await stack.enter_async_context(texter(app, account, author=author, channel=channel))

        yield begin
