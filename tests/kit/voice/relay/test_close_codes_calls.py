"""A WebSocket that is refused says so: Twilio shows the code in its log, where 1000 is a call that has ended well."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from app.voice.tests.test_security import setup
from kit import defaults
from kit.caller import Call
from kit.voice_fixtures import websocket


@pytest.mark.parametrize("account", [defaults.ACCOUNT_SID, "AC" + "9" * 32], ids=["a served call", "another account"])
async def test_a_websocket_that_is_refused_is_closed_with_a_code_that_says_so(call: Call, account: str) -> None:
    socket = await websocket(call.address)
    own = account == defaults.ACCOUNT_SID
    await socket.send(setup(call.sid if own else "CA" + uuid4().hex, accountSid=account))
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), 10)
    assert (socket.close_code, socket.close_reason) == (1008, "call refused")
