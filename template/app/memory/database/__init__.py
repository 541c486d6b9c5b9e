"""Memory in your own database: a SQLite file, or PostgreSQL by its URL."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import ClassVar, Self
from uuid import uuid4

from sqlalchemy import (
    JSON,
    Connection,
    Float,
    ForeignKey,
    String,
    Text,
    UniqueConstraint,
    delete,
    func,
    insert,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.capability import Services
from app.database import Database, DatabaseSettings, Schema, connect, moment
from app.memory.backend import Backend, Deleted, Identity, Item, Memories, MemorySettings

MAX_SEARCHED = 1000  # the newest items of a person, which a query is compared with


class DatabaseMemorySettings(MemorySettings, DatabaseSettings):
    pass


class Base(DeclarativeBase):
    pass


class Profile(Base):
    """A person. Your own code may write `traits`: names and texts for the agent. Times are seconds since 1970."""

    __tablename__ = "memory_profile"
    __table_args__ = (UniqueConstraint("kind", "value"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    value: Mapped[str] = mapped_column(String(320))
    traits: Mapped[dict[str, str]] = mapped_column(JSON)
    conversations: Mapped[int] = mapped_column(default=0)
    seen_at: Mapped[float] = mapped_column(Float)


class Entry(Base):
    """An observation or a summary."""

    __tablename__ = "memory_entry"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    profile_id: Mapped[str] = mapped_column(ForeignKey("memory_profile.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    content: Mapped[str] = mapped_column(Text)
    conversation_id: Mapped[str | None] = mapped_column(String(64))
    occurred_at: Mapped[float] = mapped_column(Float, index=True)


def count_conversations(connection: Connection) -> None:
    """From version 1: `calls` counted calls alone."""
    if "calls" in {column["name"] for column in inspect(connection).get_columns(Profile.__tablename__)}:
        connection.execute(text(f"ALTER TABLE {Profile.__tablename__} RENAME COLUMN calls TO conversations"))


class DatabaseMemory(Backend):
    settings = DatabaseMemorySettings
    schema: ClassVar[Schema] = Schema("memory", Base.metadata, [count_conversations])

    def __init__(self, database: Database, settings: DatabaseMemorySettings, now: Callable[[], datetime]) -> None:
        self.database = database
        self.kinds = settings.memory_kinds
        self.items = settings.memory_items
        self.age = timedelta(days=settings.memory_days)
        self.now = now

    @classmethod
    def build(cls, services: Services) -> Self:
        settings: DatabaseMemorySettings = services.settings
        database = Database(connect(settings.database_url.get_secret_value()), cls.schema)
        return cls(database, settings, services.now)

    async def open(self) -> None:
        async with self.database.begin() as database:
            await self._delete_expired(database)

    async def close(self) -> None:
        await self.database.close()

    async def find_profile(self, identity: Identity) -> str | None:
        async with self.database.begin() as database:
            return await self._find(database, identity)

    async def find_or_create_profile(self, identity: Identity) -> str:
        async with self.database.begin() as database:
            if profile := await self._find(database, identity):
                return profile
        profile = uuid4().hex
        try:
            async with self.database.begin() as database:
                await database.execute(
                    insert(Profile).values(
                        id=profile,
                        kind=identity.kind,
                        value=identity.value,
                        traits={},
                        conversations=0,
                        seen_at=self._time(),
                    )
                )
        except IntegrityError:  # another conversation of this person has created it
            return await self.find_or_create_profile(identity)
        return profile

    async def recall(self, profile: str, query: str | None = None) -> Memories:
        async with self.database.begin() as database:
            return Memories(
                traits=await self._traits(database, profile) if "traits" in self.kinds and query is None else {},
                observations=await self._entries(database, profile, "observations", query),
                summaries=await self._entries(database, profile, "summaries", query),
            )

    async def add_observation(self, profile: str, text: str, conversation_id: str | None = None) -> None:
        await self._add(profile, "observations", text, conversation_id)

    async def add_summary(self, profile: str, text: str, conversation_id: str | None = None) -> None:
        await self._add(profile, "summaries", text, conversation_id)

    async def on_end(self, identity: Identity) -> None:
        """Count the conversation, and delete expired rows."""
        if "traits" in self.kinds:
            await self.find_or_create_profile(identity)
        async with self.database.begin() as database:
            mine = (Profile.kind == identity.kind) & (Profile.value == identity.value)
            await database.execute(
                update(Profile).where(mine).values(conversations=Profile.conversations + 1, seen_at=self._time())
            )
            await self._delete_expired(database)

    async def forget(self, identity: Identity) -> Deleted:
        async with self.database.begin() as database:
            profile = await self._find(database, identity)
            if profile is None:
                return Deleted()
            counted = select(Entry.kind, func.count()).where(Entry.profile_id == profile).group_by(Entry.kind)
            counts = {kind: count for kind, count in await database.execute(counted)}
            await database.execute(delete(Entry).where(Entry.profile_id == profile))
            await database.execute(delete(Profile).where(Profile.id == profile))
        return Deleted(1, counts.get("observations", 0), counts.get("summaries", 0))

    # --- rows --------------------------------------------------------------------------------------------------

    async def _find(self, database: AsyncConnection, identity: Identity) -> str | None:
        wanted = select(Profile.id).where(Profile.kind == identity.kind, Profile.value == identity.value)
        return (await database.execute(wanted)).scalar_one_or_none()

    async def _traits(self, database: AsyncConnection, profile: str) -> dict[str, str]:
        wanted = select(Profile.traits, Profile.conversations, Profile.seen_at).where(Profile.id == profile)
        row = (await database.execute(wanted)).one_or_none()
        if row is None:
            return {}
        traits = {str(name): str(value) for name, value in row.traits.items()}
        if row.conversations:
            traits |= {
                "conversations before this one": str(row.conversations),
                "last conversation": f"{moment(row.seen_at):%Y-%m-%d}",
            }
        return traits

    async def _entries(self, database: AsyncConnection, profile: str, kind: str, query: str | None) -> list[Item]:
        if kind not in self.kinds:
            return []
        wanted = (
            select(Entry.content, Entry.occurred_at)
            .where(Entry.profile_id == profile, Entry.kind == kind, Entry.occurred_at >= self._oldest())
            .order_by(Entry.occurred_at.desc())
            .limit(MAX_SEARCHED if query else self.items)
        )
        found = [Item(content, moment(at)) for content, at in await database.execute(wanted)]
        if query is None:
            return found
        wanted_words = words(query)
        matching = [item for item in found if words(item.text) & wanted_words]
        return sorted(matching, key=lambda item: -len(words(item.text) & wanted_words))[: self.items]

    async def _add(self, profile: str, kind: str, content: str, conversation_id: str | None) -> None:
        entry = insert(Entry).values(
            id=uuid4().hex,
            profile_id=profile,
            kind=kind,
            content=content,
            conversation_id=conversation_id,
            occurred_at=self._time(),
        )
        async with self.database.begin() as database:
            await database.execute(entry)

    async def _delete_expired(self, database: AsyncConnection) -> None:
        await database.execute(delete(Entry).where(Entry.occurred_at < self._oldest()))
        has_entries = select(Entry.id).where(Entry.profile_id == Profile.id).exists()
        await database.execute(delete(Profile).where(Profile.seen_at < self._oldest(), ~has_entries))

    def _time(self) -> float:
        return self.now().timestamp()

    def _oldest(self) -> float:
        return (self.now() - self.age).timestamp()


def words(text: str) -> set[str]:
    """The words of three letters or more, by which a query is compared with an item."""
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 2}
