"""Waiting for a message in a store that notifies no reader, and charges for each request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from app.store import now

FIRST_POLL = 0.05  # seconds between the first polls of an empty queue
MAX_POLL = 0.8  # seconds between later polls


async def poll(take: Callable[[], Awaitable[str | None]], wait: float) -> str | None:
    """The first message that `take` gives within `wait` seconds, or None. It is called at least once."""
    until, pause = now() + wait, FIRST_POLL
    while (value := await take()) is None and (left := until - now()) > 0:
        await asyncio.sleep(min(pause, left))
        pause = min(1.5 * pause, MAX_POLL)
    return value
