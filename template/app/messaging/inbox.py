"""Incoming messages: webhook payloads of Conversation Orchestrator, and a queue and a lock for each conversation.

Any worker may receive a message; one at a time answers. The payload models have only the fields that are read. Sources:
https://www.twilio.com/docs/conversations/orchestrator/webhooks, tac.models.conversation of twilio-agent-connect 2.5.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import regex
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from app.connection import has_number
from app.store import Store

MESSAGE_TTL = 24 * 3600.0  # seconds that an unanswered message is stored
LEASE = 30.0  # seconds until the lock of a worker that has died expires; another worker answers then
POLL_INTERVAL = 0.1  # seconds between two attempts to get the lock
CLOSED = ""  # queued instead of a message: Twilio has closed the conversation
VISIBLE = regex.compile(r"[^\s\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\u2800]")
EARLIEST = datetime.min.replace(tzinfo=UTC)


class CamelCaseModel(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Author(CamelCaseModel):
    """`address` is E.164 with SMS, and has a prefix such as `whatsapp:` elsewhere; chat has names."""

    address: str
    channel: str
    participant_id: str | None = None

    @property
    def can_be_answered(self) -> bool:
        """False for an SMS of a short code or of a sender with a name, and for a withheld number."""
        return self.channel != "SMS" or has_number(self.address)


class Content(CamelCaseModel):
    """TRANSCRIPTION is speech. A picture comes without `text`."""

    type: str = "TEXT"
    text: str | None = None


class Message(CamelCaseModel):
    """The data of COMMUNICATION_CREATED. `channel_id` names the thread of a chat."""

    id: str
    conversation_id: str
    author: Author
    content: Content | None = None
    channel_id: str | None = None
    created_at: str | None = None

    @property
    def text(self) -> str:
        return (self.content and self.content.text or "").strip()

    @property
    def is_blank(self) -> bool:
        """True for a text of which nothing can be seen. A picture has no text at all."""
        text = self.content and self.content.text
        return bool(text) and VISIBLE.search(text) is None

    @property
    def written(self) -> datetime:
        """The time of writing, EARLIEST when it cannot be parsed."""
        try:
            at = datetime.fromisoformat(self.created_at or "")
        except ValueError:
            return EARLIEST
        return at if at.tzinfo else at.replace(tzinfo=UTC)


class Change(CamelCaseModel):
    """The data of CONVERSATION_UPDATED. There is no event for an end: CLOSED is a status."""

    id: str
    status: str | None = None


def bare(address: str) -> str:
    """An address without its channel prefix: +15005550006 for `whatsapp:+15005550006`."""
    return address.removeprefix("whatsapp:").removeprefix("rcs:")


class Inbox:
    """Per-conversation queue and lock. A request that queues a message then waits for the lock."""

    def __init__(self, store: Store, pause: float) -> None:
        self.store = store
        self.pause = pause

    async def put(self, conversation_id: str, message: Message | None) -> None:
        """Queue a message; None stands for the end of the conversation."""
        text = message.model_dump_json(by_alias=True) if message else CLOSED
        await self.store.push(f"inbox:{conversation_id}", text, MESSAGE_TTL)

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
        return await self.store.pop(f"inbox:{conversation_id}", 0)

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
