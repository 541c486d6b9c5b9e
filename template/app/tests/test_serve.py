"""A server that is told to stop finishes first what it has begun."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from app.main import create_app
from app.serve import DrainingServer, serve
from kit import defaults
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount


async def health(address: str) -> tuple[int, Any]:
    async with httpx2.AsyncClient(verify=False) as http:
        answer = await http.get(f"http://{address}/healthz")
    return answer.status_code, answer.json()


@asynccontextmanager
async def serving(
    *rules: dict[str, Any], account: SimulatedAccount | None = None, **settings: Any
) -> AsyncGenerator[tuple[DrainingServer, str]]:
    """The server of `agent serve`, in this process. Signals that it passes on reach nobody."""
    chosen = defaults.settings(host="127.0.0.1", port=0, **settings)
    server = DrainingServer(
        create_app(
            chosen, [scripted(*(rules or ({"says": "Yes."},)))], [], transport=(account or SimulatedAccount()).transport
        ),
        chosen,
    )
    before = {sig: signal.signal(sig, lambda *_: None) for sig in (signal.SIGTERM, signal.SIGINT)}
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        host, port = server.servers[0].sockets[0].getsockname()
        yield server, f"{host}:{port}"
        async with asyncio.timeout(2):
            await task
    finally:
        task.cancel()
        await asyncio.wait([task])
        for sig, handler in before.items():
            signal.signal(sig, handler)


async def stopping(server: DrainingServer) -> bool:
    """Whether the server stops within a moment."""
    for _ in range(100):
        if server.should_exit:
            return True
        await asyncio.sleep(0.005)
    return False


async def test_health_tells_what_is_in_progress() -> None:
    async with serving() as (server, address):
        assert await health(address) == (200, {"status": "ok", "active": 0})
        signal.raise_signal(signal.SIGTERM)
        assert await stopping(server)


async def test_a_server_with_nothing_to_do_stops_at_once() -> None:
    async with serving() as (server, _):
        signal.raise_signal(signal.SIGTERM)
        assert await stopping(server)


def test_a_port_that_is_taken_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.serve.configure_logging", lambda level: None)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as exit:
        serve(defaults.settings(host="127.0.0.1", port=taken.getsockname()[1], model="test", fallback_model="test"))
    assert exit.value.code == 1
