"""What one client may take of the server: bytes of a body, a frame and a head, seconds, and connections.

Anyone can send a request, and its signature is looked at when it is there as a whole. OwnerLimits has what all
conversations may take of the owner.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

from pydantic_ai import RequestUsage
from pydantic_ai.messages import ModelResponse
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_BODY = 1024 * 1024  # bytes; a larger body is answered with 413
MAX_FIELDS = 1000  # fields of a form
MAX_HEAD = 16 * 1024  # bytes of URL and headers; larger ones are answered with 400
REQUEST_TIMEOUT = 10.0  # seconds in which a request must be complete
HOUR, DAY = 3600.0, 24 * 3600.0
BLOCKS = 100  # parts of AGENT_DAY_TOKENS: each worker takes one from the store at a time
MAX_INCOMPLETE = 64  # connections with a request that is not complete; each may hold MAX_BODY


class LimitedProtocol(HttpToolsProtocol):
    """Closes a connection whose request is not complete in time, and the oldest of them when there are too many.

    Uvicorn has no limit for either, and `limit_concurrency` would refuse calls.
    """

    reading: str | None = "head"  # the part of a request that is being read: "head", "body", or None after it
    head_size = 0  # bytes of a head that is not complete
    deadline: asyncio.TimerHandle | None = None  # set while a request is not complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()
        waiting = [each for each in self.connections if isinstance(each, LimitedProtocol) and each.deadline]
        if len(waiting) > MAX_INCOMPLETE:
            min(waiting, key=lambda each: each.deadline.when() if each.deadline else 0.0).transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clear_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.head_size = self.head_size + len(data) if self.reading == "head" else 0
        if self.head_size > MAX_HEAD and not self.transport.is_closing():
            self.send_400_response("The head is too large.")
        is_websocket = self.transport.get_protocol() is not self
        if is_websocket or (self.reading is None and not self.cycle.response_complete):
            self._clear_deadline()
        elif self.deadline is None:
            self._set_deadline()

    def on_message_begin(self) -> None:
        self.reading = "head"
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Raises ValueError, which becomes a 400."""
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MAX_HEAD:
            raise ValueError("the head is too large")
        self.reading = "body"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self.reading = None
        super().on_message_complete()

    def _set_deadline(self) -> None:
        self.deadline = self.loop.call_later(REQUEST_TIMEOUT, self.transport.abort)

    def _clear_deadline(self) -> None:
        if self.deadline:
            self.deadline.cancel()
            self.deadline = None


SERVER_LIMITS: dict[str, Any] = {  # options of Uvicorn
    "http": LimitedProtocol,
    "ws": "websockets-sansio",
    "ws_max_size": 64 * 1024,  # bytes of a frame
}


async def contained(work: Coroutine[Any, Any, Any]) -> Any:
    """The work of a task. Its SystemExit or KeyboardInterrupt fails this task; asyncio would end the event loop."""
    try:
        return await work
    except (SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"{type(error).__name__} in a task") from error


def contained_task(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """A task factory. What runs for one call may not end the server."""
    task = asyncio.Task(contained(work), loop=loop, **options)
    task.add_done_callback(lambda _: work.close())  # one that is cancelled before it starts has not awaited its work
    return task


class OwnerLimits:
    """AGENT_OFF, and the numbers of calls and tokens that the settings allow. `services` are those of a capability."""

    def __init__(self, services: Any) -> None:
        self.services = services
        self.day, self.block, self.left = "", 0, 0.0  # of today's tokens: the next block, and what this worker has left

    async def refused(self, caller: str, active: int) -> str:
        """Why a new call is not taken, or "". `caller` is "" for a withheld number."""
        settings, store = self.services.settings, self.services.store
        if settings.off or 0 < settings.max_calls <= active:
            return "off" if settings.off else "max_calls"
        for number in range(settings.caller_calls if caller else 0):
            if await store.claim(f"caller:{caller}:{number}", HOUR):
                break
        else:
            if caller and settings.caller_calls:
                return "caller_calls"
        return await self._today()

    async def reached(self, session: Any) -> str:
        """Why the model may not be asked once more in this conversation, or ""."""
        settings = self.services.settings
        if settings.off or 0 < settings.call_tokens <= sum(row[2] + row[3] for row in session.usage):
            return "off" if settings.off else "call_tokens"
        return await self._today()

    async def _today(self) -> str:
        limit, today = self.services.settings.day_tokens, f"{self.services.local_now():%Y-%m-%d}"
        if limit and self.day != today:
            self.day, self.block, self.left = today, 0, 0.0
        while limit and self.left <= 0 and self.block < BLOCKS:
            if await self.services.store.claim(f"tokens:{today}:{self.block}", DAY):
                self.left += limit / BLOCKS
            self.block += 1
        return "day_tokens" if limit and self.left <= 0 else ""

    def add(self, session: Any, usage: list[list[Any]]) -> None:
        """Count what a turn has used: `Turn.usage`."""
        session.usage += usage
        self.left -= sum(row[2] + row[3] for row in usage)


async def bill(usage: list[list[Any]]) -> dict[str, Any]:
    """For the log: tokens in and out by model, their price in US dollars where it is known, and whether it is a guess.

    In a thread: the table of prices takes a third of a second to load.
    """
    tokens: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for _, model, asked, answered, *_ in usage:
        tokens[model] = [tokens[model][0] + asked, tokens[model][1] + answered]
    usd = await asyncio.to_thread(lambda: [price(row) for row in usage])
    known = None if None in usd else round(sum(filter(None, usd)), 6)
    return {"tokens": dict(tokens), "usd": known, "estimated": any(not row[0] for row in usage)}


def price(row: list[Any]) -> float | None:
    """US dollars for one response: by genai-prices, the table of pydantic-ai."""
    provider, model, asked, answered, read, written = row
    used = RequestUsage(input_tokens=asked, output_tokens=answered, cache_read_tokens=read, cache_write_tokens=written)
    try:
        return float(ModelResponse([], usage=used, model_name=model, provider_name=provider or None).cost().total_price)
    except Exception:  # a model that the table does not have
        return None
