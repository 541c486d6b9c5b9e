"""Messages that wait for an answer. Whichever worker receives them, one at a time answers a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from app.messaging.payload import Message
from app.store import Store

KEPT = 24 * 3600.0  # seconds that a message may wait
LEASE = 30.0  # seconds after which another worker may take over from one that has died
AGAIN = 0.1  # seconds between two looks whether the other one has finished
GLANCE = 0.02  # seconds
CLOSED = ""  # in the place of a message: the conversation is over


class Inbox:
    """Everybody who has put something in waits for the turn to answer, so that nothing is left behind."""

    def __init__(self, store: Store, pause: float) -> None:
        self.store = store
        self.pause = pause

    async def put(self, conversation_id: str, message: Message | None) -> None:
        """None closes the conversation."""
        text = message.model_dump_json(by_alias=True) if message else CLOSED
        await self.store.push(f"inbox:{conversation_id}", text, KEPT)

    async def take(self, conversation_id: str) -> tuple[list[Message], bool]:
        """What has come and what comes within the pause, as it was written; and whether the conversation is over.

        People send one thought in several messages: together they are one question. Webhooks overtake one another.
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
        return await self.store.pop(f"inbox:{conversation_id}", GLANCE)

    @asynccontextmanager
    async def turn(self, conversation_id: str) -> AsyncGenerator[None]:
        """Wait until nobody else answers this conversation, and keep the others out."""
        key = f"answering:{conversation_id}"
        while not await self.store.claim(key, LEASE):
            await asyncio.sleep(AGAIN)
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
