"""The server of `agent serve` in this process, for tests of health, signals and limits."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from app.capability import Capability
from app.main import DrainingServer
from kit import defaults
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.local_server import PromptServer
from kit.simulated_twilio.account import SimulatedAccount


async def health(address: str) -> tuple[int, Any]:
    async with httpx2.AsyncClient(verify=False) as http:
        answer = await http.get(f"http://{address}/healthz")
    return answer.status_code, answer.json()


class Server(PromptServer, DrainingServer):
    """The server of `agent serve`, without Uvicorn's waits."""


@asynccontextmanager
async def serving(
    *rules: dict[str, Any],
    account: SimulatedAccount | None = None,
    capabilities: Sequence[type[Capability]] | None = None,
    **settings: Any,
) -> AsyncGenerator[tuple[DrainingServer, str]]:
    """The server of `agent serve`, in this process. Signals that it passes on are ignored."""
    settings = {"host": "127.0.0.1", "port": 0, **settings}
    app = build_app(*rules, account=account, capabilities=capabilities, **settings)
    server = Server(app, defaults.settings(**settings))
    before = {sig: signal.signal(sig, lambda *_: None) for sig in (signal.SIGTERM, signal.SIGINT)}
    task = asyncio.create_task(server.serve())
    try:
        await wait_until(lambda: server.started or task.done(), "the server did not start")
        host, port = server.servers[0].sockets[0].getsockname()
        yield server, f"{host}:{port}"
        async with asyncio.timeout(30):
            await task
    finally:
        task.cancel()
        await asyncio.wait([task])
        for sig, handler in before.items():
            signal.signal(sig, handler)


async def stopping(server: DrainingServer) -> bool:
    """True when the server stops."""
    await wait_until(lambda: server.should_exit, "the server did not stop")
    return True
