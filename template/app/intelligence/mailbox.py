"""Signals on their way to the worker that serves the conversation, whichever worker received them."""

from __future__ import annotations

from app.store import Store

KEPT = 4 * 3600.0  # seconds that a signal may wait
MARK = 45.0  # seconds without a sign of life after which nobody listens any more; longer than a line may be closed


class Mailbox:
    """Whoever delivers looks for a listener afterwards; whoever stops listening empties the box afterwards.

    So every signal is taken, and by one of them only.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    async def deliver(self, session_id: str, text: str) -> None:
        await self.store.push(f"signals:{session_id}", text, KEPT)

    async def take(self, session_id: str, wait: float) -> str | None:
        return await self.store.pop(f"signals:{session_id}", wait)

    async def listen(self, session_id: str) -> None:
        await self.store.put(f"listening:{session_id}", "yes", MARK)

    async def leave(self, session_id: str) -> None:
        await self.store.put(f"listening:{session_id}", "no", MARK)

    async def listens(self, session_id: str) -> bool:
        return await self.store.get(f"listening:{session_id}") == "yes"
