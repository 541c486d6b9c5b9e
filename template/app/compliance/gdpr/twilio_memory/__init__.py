"""Memories in Twilio."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Self

from app.capability import Services
from app.compliance.gdpr.source import Item, Person, Source, fields_of
from app.memory.backend import Identity
from app.memory.twilio import TwilioMemory
from app.twilio_api import list_all


class TwilioMemoryData(Source):
    name = "memory"

    def __init__(self, backend: TwilioMemory) -> None:
        self.backend = backend
        self.api = backend.api
        self.store = backend.store_id

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(TwilioMemory.build(services))

    async def close(self) -> None:
        await self.backend.close()

    async def find(self, person: Person, found: Sequence[Item]) -> list[Item]:
        identity = Identity(person.kind, person.value)
        items = []
        for profile in await self.backend.find_profiles(identity):
            fetched = await self.api.profiles(self.store, profile).fetch_async()
            data: dict[str, Any] = {"traits": fetched.traits}
            for name, resource in self._lists(profile).items():
                data[name] = [fields_of(each, "content", "occurred_at") for each in await list_all(resource)]
            items.append(Item("memory profiles", profile, data, partial(self.backend.forget, identity)))
        return items

    async def expire(self, before: datetime) -> int:
        """Observations and summaries. Traits of a profile have no time: they stay until the person is forgotten."""
        deleted = 0
        for profile in await list_all(self.api.profiles(self.store)):
            for name, resource in self._lists(profile).items():
                for item in await list_all(resource):
                    at = item.occurred_at or item.created_at
                    if at and at < before:
                        await getattr(self.api, name)(self.store, profile, item.id).delete_async()
                        deleted += 1
        return deleted

    def _lists(self, profile: str) -> dict[str, Any]:
        names = ("observations", "conversation_summaries")
        return {name: getattr(self.api, name)(self.store, profile) for name in names}
