"""A mailbox for each session: the worker that receives a signal delivers it, the worker of the call takes it."""

from __future__ import annotations

from app.store import Store

SIGNAL_TTL = 4 * 3600.0  # seconds that a signal may wait
LISTENER_TTL = 45.0  # seconds after the last `listen`; longer than a call may be disconnected


class Mailbox:
    """Each signal is taken by one worker only.

    No signal stays behind: a worker that delivers checks for a listener afterwards, and a worker that stops listening
    drains the mailbox afterwards.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    async def deliver(self, session_id: str, text: str) -> None:
        await self.store.push(f"signals:{session_id}", text, SIGNAL_TTL)

    async def take(self, session_id: str, wait: float) -> str | None:
        """The oldest signal, or None when none comes within `wait` seconds."""
        return await self.store.pop(f"signals:{session_id}", wait)

    async def listen(self, session_id: str) -> None:
        """Renew the mark that a worker takes the signals of this conversation."""
        await self.store.put(f"listening:{session_id}", "yes", LISTENER_TTL)

    async def leave(self, session_id: str) -> None:
        await self.store.put(f"listening:{session_id}", "no", LISTENER_TTL)

    async def has_listener(self, session_id: str) -> bool:
        return await self.store.get(f"listening:{session_id}") == "yes"
