"""Your own database, for what has to outlive the server: a SQLite file, or PostgreSQL by its URL."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from sqlalchemy import MetaData, event, text
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.schema import CreateIndex, CreateTable

from app.settings import Settings

CONNECT_TIMEOUT = 5  # seconds for a connection, or for SQLite's lock
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
SCHEMA_LOCK = 7_210_001  # of PostgreSQL: two processes must not create the same table at once


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


def is_sqlite(url: str) -> bool:
    return parse_url(url).drivername.startswith("sqlite")


def is_sqlite_file(url: str) -> bool:
    return is_sqlite(url) and parse_url(url).database not in (None, "", ":memory:")


class DatabaseSettings(Settings):
    database_url: Annotated[SecretStr, AfterValidator(valid_url)] = Field(
        SecretStr("sqlite:///./agent.db"),
        alias="DATABASE_URL",
        examples=["sqlite://"],  # in memory, one for each simulated agent
        description="Write postgresql://user:password@host/name, or sqlite:///./agent.db for a file.",
    )


class Database:
    """Transactions. The tables of `metadata` are created on first use: the database may start after the server."""

    settings = DatabaseSettings

    def __init__(self, engine: AsyncEngine, metadata: MetaData) -> None:
        self.engine = engine
        self.metadata = metadata
        self._has_tables = False

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction."""
        if not self._has_tables:
            async with self.engine.begin() as connection:
                await connection.run_sync(create_tables, self.metadata)
            self._has_tables = True
        async with self.engine.begin() as connection:
            yield connection

    async def close(self) -> None:
        await self.engine.dispose()


def create_tables(connection: Connection, metadata: MetaData) -> None:
    """Create what is missing. Another process may be doing the same."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))
        metadata.create_all(connection)
        return
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in sorted(table.indexes, key=lambda each: str(each.name)):
            connection.execute(CreateIndex(index, if_not_exists=True))


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
    """Let the file be its owner's from the start: SQLite gives the files beside it, as in agent.db-wal, the same mode.

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
