"""A setup that is refused: of a call that is over, served, or another account's."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from app.voice.tests.test_security import setup
from kit import defaults
from kit.caller import Call, calls_of
from kit.voice_fixtures import websocket


async def closed(socket: ClientConnection) -> bool:
    """True when the server closes the socket instead of answering."""
    try:
        await asyncio.wait_for(socket.recv(), 10)
    except ConnectionClosed:
        return True
    return False


async def test_the_setup_of_a_finished_call_is_refused(call: Call) -> None:
    await call.hangs_up()
    again = await websocket(call.address)
    await again.send(setup(call.sid))
    assert await closed(again)
    assert calls_of(call.app).get(call.sid) is None


@pytest.mark.parametrize("account", [defaults.ACCOUNT_SID, "AC" + "9" * 32], ids=["a served call", "another account"])
async def test_a_refused_setup_does_not_disturb_the_call(call: Call, account: str) -> None:
    socket = await websocket(call.address)
    own = account == defaults.ACCOUNT_SID
    await socket.send(setup(call.sid if own else "CA" + uuid4().hex, accountSid=account))
    assert await closed(socket)
    assert (await call.says("Hello")).text == "You said something."
    assert call.app.state.conversations.active == 1
