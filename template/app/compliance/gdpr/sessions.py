"""What the store keeps of conversations: sessions, hand-offs and what waits for a worker."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import partial
from typing import Self

from app.capability import Services
from app.compliance.gdpr.source import Item, Person, Source
from app.session import ENDED
from app.store import Store

# Keys by the id of a call or conversation. Those that hold no word of a person expire by themselves.
KEYS = ("session:{}", "session:{}:2", "escalation:{}", "after:{}", "payment:{}")
LATE_RESULT = "late-result:{}:{}"  # with the id of a tool call in the history
QUEUES = ("inbox:{}", "signals:{}")  # texts of a conversation, and results of its operators
TOOL_CALL = re.compile(r'"tool_call_id": ?"([^"]+)"')


class StoreDownError(Exception):
    """The store did not answer: what it keeps is not known."""


class SessionData(Source):
    name = "sessions"

    def __init__(self, store: Store) -> None:
        self.store = store

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services.store)

    async def find(self, person: Person, found: Sequence[Item]) -> list[Item]:
        items = []
        for id in ids_of(found):
            keys = [key.format(id) for key in KEYS]
            for key in keys:
                text = await self.store.get(key)
                keys += [LATE_RESULT.format(id, call) for call in dict.fromkeys(TOOL_CALL.findall(text or ""))]
                value = json.loads(text) if text else None
                if value not in (None, ENDED.value):
                    items.append(Item("sessions", key, {"value": value}, partial(self._delete, key)))
        self._raise_if_down()
        return items

    async def clear(self, found: Sequence[Item]) -> None:
        """Empty the queues. What waits there is in the conversation too, which is exported."""
        for key in [key.format(id) for id in ids_of(found) for key in QUEUES]:
            while await self.store.pop(key, 0):
                pass
        self._raise_if_down()

    async def _delete(self, key: str) -> None:
        await self.store.release(key)
        self._raise_if_down()

    def _raise_if_down(self) -> None:
        if self.store.down:  # it answers with defaults then
            raise StoreDownError


def ids_of(found: Sequence[Item]) -> list[str]:
    """The ids of the calls and conversations."""
    return list(dict.fromkeys(item.id for item in found if item.kind in ("calls", "conversations")))
