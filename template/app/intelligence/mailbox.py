"""Signals on their way to the worker that serves the call, whichever worker received them."""

from __future__ import annotations

from app.calls import LONGEST
from app.store import Store

MARK = 45.0  # seconds without a sign of life after which nobody listens any more; longer than a call may be dropped


class Mailbox:
    """Whoever delivers looks for a listener afterwards; whoever stops listening empties the box afterwards.

    So every signal is taken, and by one of them only.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    async def deliver(self, call_sid: str, text: str) -> None:
        await self.store.push(f"signals:{call_sid}", text, LONGEST)

    async def take(self, call_sid: str, wait: float) -> str | None:
        return await self.store.pop(f"signals:{call_sid}", wait)

    async def listen(self, call_sid: str) -> None:
        await self.store.put(f"listening:{call_sid}", "yes", MARK)

    async def leave(self, call_sid: str) -> None:
        await self.store.put(f"listening:{call_sid}", "no", MARK)

    async def listens(self, call_sid: str) -> bool:
        return await self.store.get(f"listening:{call_sid}") == "yes"
