"""Serve the app, and finish the conversations in progress before it stops."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import FrameType

import structlog
import uvicorn
from starlette.applications import Starlette

from app.log import configure_logging
from app.main import create_app
from app.settings import Settings

log = structlog.get_logger()


class DrainingServer(uvicorn.Server):
    """On SIGTERM, waits up to `drain` seconds for conversations in progress; Uvicorn alone closes every connection.

    Meanwhile `/healthz` answers 503, so that a load balancer sends new calls elsewhere. A second signal stops at once.
    """

    def __init__(self, app: Starlette, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app, host=settings.host, port=settings.port, log_config=None, access_log=False, ws="websockets-sansio"
            )
        )
        self.conversations = app.state.conversations
        self.drain = settings.drain
        self.draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.conversations.draining:
            super().handle_exit(sig, frame)
        else:
            self.conversations.draining = True
            asyncio.get_running_loop().call_soon_threadsafe(self._start_draining)

    def _start_draining(self) -> None:
        self.draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        log.info("server.draining", active=self.conversations.active, seconds=self.drain)
        try:
            async with asyncio.timeout(self.drain):
                while self.conversations.active:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            log.warning("server.cut_off", active=self.conversations.active)
        self.should_exit = True


def serve(settings: Settings, build: Callable[[], Starlette] | None = None) -> None:
    """Serve the app, or what `build` makes of it, until a signal comes.

    Exits with 1 when the port is taken or the app does not start.
    """
    configure_logging(settings.log_level)
    server = DrainingServer(build() if build else create_app(settings), settings)
    try:
        server.run()
    except SystemExit:  # uvicorn's 3, which it has explained in the log
        sys.exit(1)
