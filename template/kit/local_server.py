"""Serve the app on a free port of this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from app.limits import SERVER_LIMITS

SHUTDOWN_TIMEOUT = 2.0  # seconds that requests in progress may take


class PromptServer(uvicorn.Server):
    """Stops within milliseconds; Uvicorn's own loops wait a tenth of a second."""

    async def main_loop(self) -> None:
        while not self.should_exit:
            await asyncio.sleep(0.002)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(SHUTDOWN_TIMEOUT):
                while self.server_state.connections or self.server_state.tasks:
                    await asyncio.sleep(0.001)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()
        await self.lifespan.shutdown()


class _Server(PromptServer):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # signals belong to the calling process

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().serve(sockets)
        except asyncio.CancelledError:  # the event loop ends before the server was closed
            for server in self.servers:
                server.close()
            for connection in list(self.server_state.connections):
                connection.shutdown()
            raise
        except SystemExit:  # uvicorn exits when an app does not start; the caller must go on
            raise RuntimeError("the app did not start; see the log above") from None


@asynccontextmanager
async def serve(app: ASGIApp, **options: Any) -> AsyncGenerator[str]:
    """Serve `app` on a free port of 127.0.0.1 and yield its address, host and port. `options` are those of uvicorn.

    The limits are those of the project's own server.
    """
    server = _Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            log_config=None,
            access_log=False,
            **{"lifespan": "on", **SERVER_LIMITS, **options},
        )
    )
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.001)
    try:
        host, port = server.servers[0].sockets[0].getsockname()[:2]
        yield f"{host}:{port}"
    finally:
        server.should_exit = True
        await task
