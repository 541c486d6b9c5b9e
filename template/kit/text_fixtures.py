"""What tests of messages share: somebody with a phone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Protocol

import pytest

from app.main import create_app
from app.store import Store
from kit import defaults
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.texter import Texter, texter


class Reach(Protocol):
    async def __call__(
        self,
        *rules: dict[str, Any],
        models: Sequence[Any] = (),
        tools: Sequence[Callable[..., Any]] = (),
        cloud: SimulatedAccount | None = None,
        store: Store | None = None,
        author: str = defaults.CALLER,
        channel: str = "SMS",
        **settings: Any,
    ) -> Texter: ...


@pytest.fixture
async def reach(hurry: None) -> AsyncGenerator[Reach]:
    """Somebody with a phone, and an agent whose model follows `rules`."""
    async with AsyncExitStack() as stack:

        async def begin(
            *rules: dict[str, Any],
            models: Sequence[Any] = (),
            tools: Sequence[Callable[..., Any]] = (),
            cloud: SimulatedAccount | None = None,
            store: Store | None = None,
            author: str = defaults.CALLER,
            channel: str = "SMS",
            **settings: Any,
        ) -> Texter:
            cloud = cloud or SimulatedAccount()
            rules = rules or ({"says": "Yes."},)
            app = create_app(
                defaults.settings(**settings),
                models or [scripted(*rules)],
                tools,
                store=store,
                transport=cloud.transport,
            )
            return await stack.enter_async_context(texter(app, cloud, author=author, channel=channel))

        yield begin


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another at once."""
    monkeypatch.setattr("app.messaging.outbox.PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr("app.messaging.inbox.AGAIN", 0.005)
