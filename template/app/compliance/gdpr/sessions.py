"""What the store keeps of conversations: sessions, hand-offs and what waits for a worker."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Self

from app.capability import Services
from app.compliance.gdpr.source import Item, Person, Source
from app.session import ENDED
from app.store import Store

# Keys by the id of a call or conversation. Those that hold no word of a person expire by themselves.
KEYS = ("session:{}", "session:{}:2", "escalation:{}", "after:{}", "payment:{}")


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
        ids = dict.fromkeys(item.id for item in found if item.kind in ("calls", "conversations"))
        items = []
        for key in [key.format(id) for id in ids for key in KEYS]:
            text = await self.store.get(key)
            value = json.loads(text) if text else None
            if value not in (None, ENDED.value):
                items.append(Item("sessions", key, {"value": value}, partial(self._delete, key)))
        self._raise_if_down()
        return items

    async def close(self) -> None:
        await self.store.close()

    async def _delete(self, key: str) -> None:
        await self.store.release(key)
        self._raise_if_down()

    def _raise_if_down(self) -> None:
        if self.store.down:  # it answers with defaults then
            raise StoreDownError
