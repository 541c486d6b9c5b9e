"""Fixtures of phone calls: a caller, and a WebSocket without one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket

from app.session import this_session
from kit import defaults
from kit.agent_app import Start, build_app
from kit.caller import Call, dial_app
from kit.webhook import sign


async def leave(reason: str) -> str:
    """Hang up."""
    await this_session().connection.end({"reasonCode": reason})
    return "The call ends."


async def leave_without_a_word() -> str:
    """Hang up."""
    await this_session().connection.end()
    return "The call ends."


Dial = Start[Call]


@pytest.fixture
async def dial() -> AsyncGenerator[Dial]:
    """Call an agent whose model follows `rules`; hang up at the end. `options` as of `kit.agent_app.build_app`."""
    async with AsyncExitStack() as calls:

        async def ring(*rules: dict[str, Any], **options: Any) -> Call:
            app = build_app(*rules, **options)
            return await calls.enter_async_context(dial_app(app, account=app.state.account))

        yield ring


@pytest.fixture
async def call(dial: Dial) -> Call:
    """A call to an agent that has one reply."""
    return await dial({"hears": "", "says": "You said something."})


WEBSOCKET_URL = f"wss{defaults.PUBLIC_URL.removeprefix('https')}/ws"


async def websocket(
    address: str, *, signature: str | None = None, headers: Mapping[str, str] | None = None
) -> ClientConnection:
    """A WebSocket to the app. `signature` replaces Twilio's; an empty one sends no signature."""
    signature = sign(WEBSOCKET_URL) if signature is None else signature
    signature_header = {"X-Twilio-Signature": signature} if signature else {}
    return await open_websocket(
        f"ws://{address}/ws", additional_headers={**signature_header, **(headers or {})}, proxy=None
    )
