"""Queue of unanswered messages, by conversation. Any server may receive a message; one at a time answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.messaging.payload import Message
from app.store import Store

KEPT = 24 * 3600.0  # seconds that an unanswered message is stored
LEASE = 30.0  # seconds after which another server may answer, when the one that holds the lock has died
POLL_INTERVAL = 0.1  # seconds between two attempts to get the lock
POP_TIMEOUT = 0.02  # seconds to wait for a message
CLOSED = ""  # queued instead of a message: Twilio has closed the conversation


class Inbox:
    """Per-conversation queue and lock. A request that queues a message then waits for the lock."""

    def __init__(self, store: Store, pause: float) -> None:
        self.store = store
        self.pause = pause

    async def put(self, conversation_id: str, message: Message | None) -> None:
        """Queue a message; None stands for the end of the conversation."""
        text = message.model_dump_json(by_alias=True) if message else CLOSED
        await self.store.push(f"inbox:{conversation_id}", text, KEPT)

    async def take(self, conversation_id: str) -> tuple[list[Message], bool]:
        """The queued messages and those that arrive within the pause, by time of writing; and whether it has closed.

        Customers split one question into several messages. Webhooks may arrive out of order.
        """
        found = await self._oldest(conversation_id)
        if found is None:
            return [], False
        await asyncio.sleep(self.pause)
        taken: list[str] = []
        while found is not None:
            taken.append(found)
            found = await self._oldest(conversation_id)
        messages = [Message.model_validate_json(text) for text in taken if text != CLOSED]
        return sorted(messages, key=lambda message: message.written), CLOSED in taken

    async def _oldest(self, conversation_id: str) -> str | None:
        return await self.store.pop(f"inbox:{conversation_id}", POP_TIMEOUT)

    @asynccontextmanager
    async def turn(self, conversation_id: str) -> AsyncGenerator[None]:
        """Hold the lock of a conversation while it is answered."""
        key = f"answering:{conversation_id}"
        while not await self.store.claim(key, LEASE):
            await asyncio.sleep(POLL_INTERVAL)
        renewing = asyncio.create_task(self._renew(key))
        try:
            yield
        finally:
            renewing.cancel()
            await self.store.release(key)

    async def _renew(self, key: str) -> None:
        while True:
            await asyncio.sleep(LEASE / 3)
            await self.store.put(key, "", LEASE)
