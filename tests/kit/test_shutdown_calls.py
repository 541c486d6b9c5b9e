"""How long a server takes to stop after its last call has hung up or dropped."""

from __future__ import annotations

import asyncio
import json
import signal
from types import SimpleNamespace
from uuid import uuid4

import pytest

from app.capability import Timeouts
from app.store import InProcess
from app.voice.tests.test_security import PROMPT, setup
from kit.activity import wait_until
from kit.server_fixtures import serving, stopping
from kit.voice_fixtures import websocket
from kit.workers import Shared


@pytest.mark.parametrize("store", [Shared, InProcess])
@pytest.mark.parametrize("before", [False, True], ids=["after the signal", "before the signal"])
async def test_a_server_whose_last_call_has_dropped_stops_at_once(
    monkeypatch: pytest.MonkeyPatch, store: type[InProcess], before: bool
) -> None:
    shared = store()
    monkeypatch.setattr("app.registry.STORE", SimpleNamespace(build=lambda settings: shared))
    async with serving(capabilities=[]) as (server, address):
        sid = "CA" + uuid4().hex
        socket = await websocket(address)
        for frame in (setup(sid), PROMPT):
            await socket.send(frame)
        await asyncio.wait_for(socket.recv(), 10)
        conversations = server.config.app.state.conversations  # type: ignore[union-attr]
        if before:
            await socket.close()
            await wait_until(lambda: not conversations.active, "the call has not dropped")
        began = asyncio.get_running_loop().time()
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.2)
        await socket.close()
        assert await stopping(server)
    assert asyncio.get_running_loop().time() - began < Timeouts.reconnect / 3
    saved = await shared.get(f"session:{sid}")
    assert saved and (json.loads(saved) == "over") is not store.shared
