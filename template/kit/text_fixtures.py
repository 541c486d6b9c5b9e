"""Fixtures of messages: a customer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from kit import defaults
from kit.agent_app import Start, build_app
from kit.texter import Texter, texter

Reach = Start[Texter]


@pytest.fixture
async def reach() -> AsyncGenerator[Reach]:
    """A customer of an agent whose model follows `rules`. `options` as of `build_app`, with author and channel."""
    async with AsyncExitStack() as stack:

        async def begin(
            *rules: dict[str, Any], author: str = defaults.CALLER, channel: str = "SMS", **options: Any
        ) -> Texter:
            app = build_app(*rules, **options)
            return await stack.enter_async_context(texter(app, app.state.account, author=author, channel=channel))

        yield begin
