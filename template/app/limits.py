"""What one client may take of the server: bytes of a body, a frame and a head, seconds, and connections.

Anyone can send a request, and its signature is looked at when it is there as a whole.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_BODY = 1024 * 1024  # bytes; a larger body is answered with 413
REQUEST_TIMEOUT = 10.0  # seconds in which a request must be complete
MAX_INCOMPLETE = 64  # connections with a request that is not complete; each may hold MAX_BODY


class LimitedProtocol(H11Protocol):
    """Closes a connection whose request is not complete in time, and the oldest of them when there are too many.

    Uvicorn has no limit for either, and `limit_concurrency` would refuse calls.
    """

    deadline: asyncio.TimerHandle | None = None  # set while the request is not complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()
        waiting = [each for each in self.connections if isinstance(each, LimitedProtocol) and each.deadline]
        if len(waiting) > MAX_INCOMPLETE:
            min(waiting, key=lambda each: each.deadline.when() if each.deadline else 0.0).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        complete = self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)
        if complete or self.transport.get_protocol() is not self:  # another protocol has it: a WebSocket
            self._clear_deadline()
        elif self.deadline is None and self.timeout_keep_alive_task is None:  # Uvicorn closes idle connections
            self._set_deadline()

    def _set_deadline(self) -> None:
        self.deadline = self.loop.call_later(REQUEST_TIMEOUT, self.transport.abort)

    def _clear_deadline(self) -> None:
        if self.deadline:
            self.deadline.cancel()
            self.deadline = None


SERVER_LIMITS: dict[str, Any] = {  # options of Uvicorn
    "http": LimitedProtocol,
    "h11_max_incomplete_event_size": 16 * 1024,  # bytes of request line and headers
    "ws": "websockets-sansio",
    "ws_max_size": 64 * 1024,  # bytes of a frame
}
