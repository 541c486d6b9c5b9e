"""Memory in your own database: a SQLite file, or PostgreSQL by its URL."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

from pydantic import AfterValidator, Field, SecretStr
from sqlalchemy import (
    JSON,
    Float,
    ForeignKey,
    String,
    Text,
    UniqueConstraint,
    delete,
    event,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import AsyncAdaptedQueuePool

from app.capability import Services
from app.memory.backend import Backend, Deleted, Identity, Item, Memories, MemorySettings

CONNECT_TIMEOUT = 5  # seconds for a connection, or for SQLite's lock
MAX_SEARCHED = 1000  # the newest items of a person, which a query is compared with
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}


def parse_url(text: str) -> URL:
    """A URL of a hosting provider, for the asynchronous drivers. Raises ValueError for another database."""
    try:
        url = make_url(text)
    except ArgumentError:
        raise ValueError("not a database URL") from None
    if url.drivername not in {*DRIVERS, *DRIVERS.values()}:
        raise ValueError("neither sqlite nor postgresql")
    query: dict[str, Any] = dict(url.query)
    if "sslmode" in query:  # libpq's name; asyncpg's is ssl
        query["ssl"] = query.pop("sslmode")
    query.pop("channel_binding", None)  # asyncpg has no such parameter
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername), query=query)


def valid_url(url: SecretStr) -> SecretStr:
    parse_url(url.get_secret_value())
    return url


class DatabaseMemorySettings(MemorySettings):
    database_url: Annotated[SecretStr, AfterValidator(valid_url)] = Field(
        SecretStr("sqlite:///./memory.db"),
        alias="DATABASE_URL",
        examples=["sqlite://"],  # in memory, one for each simulated agent
        description="Write postgresql://user:password@host/name, or sqlite:///./memory.db for a file.",
    )


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


class DatabaseMemory(Backend):
    """Creates its tables on first use, so that the database may start after the server."""

    settings = DatabaseMemorySettings

    def __init__(self, engine: AsyncEngine, settings: DatabaseMemorySettings, now: Callable[[], datetime]) -> None:
        self.engine = engine
        self.kinds = settings.memory_kinds
        self.items = settings.memory_items
        self.age = timedelta(days=settings.memory_days)
        self.now = now
        self._has_tables = False

    @classmethod
    def build(cls, services: Services) -> Self:
        settings: DatabaseMemorySettings = services.settings
        return cls(connect(settings.database_url.get_secret_value()), settings, services.now)

    async def open(self) -> None:
        async with self._begin() as database:
            await self._delete_expired(database)

    async def close(self) -> None:
        await self.engine.dispose()

    async def find_profile(self, identity: Identity) -> str | None:
        async with self._begin() as database:
            return await self._find(database, identity)

    async def find_or_create_profile(self, identity: Identity) -> str:
        async with self._begin() as database:
            if profile := await self._find(database, identity):
                return profile
        profile = uuid4().hex
        try:
            async with self._begin() as database:
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
        async with self._begin() as database:
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
        async with self._begin() as database:
            mine = (Profile.kind == identity.kind) & (Profile.value == identity.value)
            await database.execute(
                update(Profile).where(mine).values(conversations=Profile.conversations + 1, seen_at=self._time())
            )
            await self._delete_expired(database)

    async def forget(self, identity: Identity) -> Deleted:
        async with self._begin() as database:
            profile = await self._find(database, identity)
            if profile is None:
                return Deleted()
            counted = select(Entry.kind, func.count()).where(Entry.profile_id == profile).group_by(Entry.kind)
            counts = {kind: count for kind, count in await database.execute(counted)}
            await database.execute(delete(Entry).where(Entry.profile_id == profile))
            await database.execute(delete(Profile).where(Profile.id == profile))
        return Deleted(1, counts.get("observations", 0), counts.get("summaries", 0))

    # --- rows --------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _begin(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction."""
        async with self.engine.begin() as database:
            if not self._has_tables:
                await database.run_sync(Base.metadata.create_all)
            yield database
        self._has_tables = True

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
        async with self._begin() as database:
            await database.execute(entry)

    async def _delete_expired(self, database: AsyncConnection) -> None:
        await database.execute(delete(Entry).where(Entry.occurred_at < self._oldest()))
        has_entries = select(Entry.id).where(Entry.profile_id == Profile.id).exists()
        await database.execute(delete(Profile).where(Profile.seen_at < self._oldest(), ~has_entries))

    def _time(self) -> float:
        return self.now().timestamp()

    def _oldest(self) -> float:
        return (self.now() - self.age).timestamp()


def connect(text: str) -> AsyncEngine:
    """An engine that connects on first use. SQLite in memory is one connection, which is used in turns."""
    url = parse_url(text)
    options: dict[str, Any] = {"pool_timeout": CONNECT_TIMEOUT, "connect_args": {"timeout": CONNECT_TIMEOUT}}
    if url.drivername.startswith("postgresql"):
        options["pool_pre_ping"] = True
    elif url.database in (None, "", ":memory:"):
        options |= {"poolclass": AsyncAdaptedQueuePool, "pool_size": 1, "max_overflow": 0}
    engine = create_async_engine(url, **options)
    if url.drivername.startswith("sqlite"):
        event.listen(engine.sync_engine, "do_connect", make_private)
        event.listen(engine.sync_engine, "connect", enable_foreign_keys)
    return engine


def make_private(dialect: Any, record: Any, arguments: Any, options: Any) -> None:
    """Let the file be its owner's from the start: SQLite gives the files beside it, as in memory.db-wal, the same mode.

    One that exists is not opened: on closing it, this process would lose SQLite's locks.
    """
    file = os.path.realpath(urlsplit(arguments[0]).path if options.get("uri") else arguments[0])
    if os.path.basename(file) in ("", ":memory:") or "mode=memory" in arguments[0]:
        return
    with suppress(OSError):  # SQLite says what is wrong
        try:
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            for each in filter(os.path.exists, (f"{file}{suffix}" for suffix in ("", "-wal", "-shm", "-journal"))):
                os.chmod(each, stat.S_IMODE(os.stat(each).st_mode) & 0o770)


def enable_foreign_keys(connection: Any, record: Any) -> None:
    """SQLite checks foreign keys per connection, on request. Without, a deleted profile could get new rows."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def words(text: str) -> set[str]:
    """The words of three letters or more, by which a query is compared with an item."""
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 2}
