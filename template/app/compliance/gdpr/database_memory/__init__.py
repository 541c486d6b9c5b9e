"""Memories in the project's database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Self

from sqlalchemy import func, select

from app.capability import Services
from app.compliance.gdpr.source import Item, Person, Source
from app.database import moment
from app.memory import Memory
from app.memory.backend import Identity
from app.memory.database import DatabaseMemory, Entry, Profile


class DatabaseMemoryData(Source):
    name = "memory"

    def __init__(self, backend: DatabaseMemory, own: bool) -> None:
        self.backend = backend
        self.own = own  # not that of a server

    @classmethod
    def build(cls, services: Services) -> Self:
        backends = [each.backend for each in services.capabilities if isinstance(each, Memory)]
        running = next((each for each in backends if isinstance(each, DatabaseMemory)), None)
        return cls(running or DatabaseMemory.build(services), own=running is None)

    async def close(self) -> None:
        if self.own:
            await self.backend.close()

    async def find(self, person: Person, found: Sequence[Item]) -> list[Item]:
        """Expired rows too, which the agent does not recall any more."""
        identity = Identity(person.kind, person.value)
        wanted = select(Profile).where(Profile.kind == identity.kind, Profile.value == identity.value)
        async with self.backend.database.begin() as database:
            profile = (await database.execute(wanted)).one_or_none()
            if profile is None:
                return []
            rows = select(Entry).where(Entry.profile_id == profile.id).order_by(Entry.occurred_at)
            entries = (await database.execute(rows)).all()
        data = {
            "traits": profile.traits,
            "conversations": profile.conversations,
            "last conversation": f"{moment(profile.seen_at):%Y-%m-%d}",
            "entries": [
                {"kind": each.kind, "content": each.content, "occurred_at": str(moment(each.occurred_at))}
                for each in entries
            ],
        }
        return [Item("memory profiles", profile.id, data, partial(self.backend.forget, identity))]

    async def expire(self, before: datetime) -> int:
        """The server deletes these rows too, when it starts and after each conversation."""
        old = select(func.count()).select_from(Entry).where(Entry.occurred_at < before.timestamp())
        async with self.backend.database.begin() as database:
            count = int((await database.execute(old)).scalar_one())
        await self.backend.open()
        return count
