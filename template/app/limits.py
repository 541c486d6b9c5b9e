"""What one client may take of the server: bytes of a body, a frame and a head, seconds, and connections.

Anyone can send a request, and its signature is looked at when it is there as a whole.
"""

from __future__ import annotations

import asyncio
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
MAX_INCOMPLETE = 64  # connections with a request that is not complete after a MOMENT; each may hold MAX_BODY
MOMENT = 1.0  # seconds; many calls may begin in one
MAX_BURST = 1000  # such connections, within a moment too


class LimitedProtocol(HttpToolsProtocol):
    """Closes a connection whose request is not complete in time, and the oldest of them when there are too many.

    Not within a moment: when hundreds of calls begin at once, each of them is answered.

    Uvicorn has no limit for either, and `limit_concurrency` would refuse calls.
    """

    reading: str | None = "head"  # the part of a request that is being read: "head", "body", or None after it
    head_size = 0  # bytes of a head that is not complete
    deadline: asyncio.TimerHandle | None = None  # set while a request is not complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._set_deadline()
        if self._close_oldest():
            self.loop.call_later(MOMENT, self._close_oldest)

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

    def _close_oldest(self) -> bool:
        """Whether too many requests are not complete. Those that are older than a moment, or beyond a burst, end."""
        waiting = [
            (each.deadline.when(), each.transport)
            for each in self.connections
            if isinstance(each, LimitedProtocol) and each.deadline
        ]
        if len(waiting) <= MAX_INCOMPLETE:
            return False
        waiting.sort(key=lambda each: each[0])
        old = self.loop.time() + REQUEST_TIMEOUT - MOMENT
        for number, (deadline, transport) in enumerate(waiting[:-MAX_INCOMPLETE]):
            if deadline <= old or number < len(waiting) - MAX_BURST:
                transport.abort()
        return True

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


class OwnerLimits:
    """What all conversations may take of the owner: AGENT_OFF, calls, tokens. `services` are those of a capability."""

    def __init__(self, services: Any) -> None:
        self.services = services
        self.day, self.block, self.left = "", 0, 0.0  # of today's tokens: the next block, and what this worker has left

    async def reached(self, used: int, caller: str = "", active: int = 0) -> str:
        """The limit that keeps out a turn after `used` tokens, or a call of `caller` beside `active` ones, or ""."""
        settings, store, today = self.services.settings, self.services.store, f"{self.services.local_now():%Y-%m-%d}"
        if self.day != today:
            self.day, self.block, self.left = today, 0, 0.0
        while settings.day_tokens and self.left <= 0 and self.block < BLOCKS:
            if await store.claim(f"tokens:{today}:{self.block}", DAY):
                self.left += settings.day_tokens / BLOCKS
            self.block += 1
        limits = {
            "off": settings.off,
            "max_calls": 0 < getattr(settings, "max_calls", 0) <= active,
            "call_tokens": 0 < settings.call_tokens <= used,
            "day_tokens": settings.day_tokens and self.left <= 0,
        }
        if limit := next((name for name, is_reached in limits.items() if is_reached), ""):
            return limit
        places = [f"caller:{caller}:{number}" for number in range(settings.caller_calls)] if caller else []
        for place in places:
            if await store.claim(place, HOUR):
                return ""
        return "caller_calls" if places else ""


async def bill(usage: list[list[Any]]) -> dict[str, Any]:
    """For the log: tokens in and out by model, US dollars if all prices are known, and whether some is a guess."""
    tokens: dict[str, list[int]] = {}
    for _, model, used in usage:
        asked, answered = tokens.get(model, [0, 0])
        tokens[model] = [asked + used.get("input_tokens", 0), answered + used.get("output_tokens", 0)]
    usd = await asyncio.to_thread(price, usage)  # the table of prices takes a third of a second to load
    return {"tokens": tokens, "usd": usd, "estimated": any(not provider for provider, *_ in usage)}


def price(usage: list[list[Any]]) -> float | None:
    responses = [
        ModelResponse([], usage=RequestUsage(**used), model_name=model, provider_name=provider or None)
        for provider, model, used in usage
    ]
    try:
        return round(sum(float(response.cost().total_price) for response in responses), 6)
    except Exception:  # a model that the table does not have
        return None
