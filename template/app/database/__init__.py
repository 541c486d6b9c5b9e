"""Your own database, for what has to outlive the server: a SQLite file, or PostgreSQL by its URL."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from sqlalchemy import Column, Integer, MetaData, String, Table, event, inspect, select, text, update
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool
from sqlalchemy.schema import CreateIndex, CreateTable

from app.settings import Settings

CONNECT_TIMEOUT = 5  # seconds for a connection, or for SQLite's lock
DRIVERS = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg"}
# Which version the tables of each part have. Releases before this table had version 1.
VERSIONS = Table("schema_version", MetaData(), Column("part", String(32), primary_key=True), Column("version", Integer))
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


def has_begun(url: str) -> bool:
    """False for a SQLite database in memory, and for a file that is not there: a connection would create it."""
    return not is_sqlite(url) or (is_sqlite_file(url) and os.path.isfile(str(parse_url(url).database)))


class DatabaseSettings(Settings):
    database_url: Annotated[SecretStr, AfterValidator(valid_url)] = Field(
        SecretStr("sqlite:///./agent.db"),
        alias="DATABASE_URL",
        examples=["sqlite://"],  # in memory, one for each simulated agent
        description="Write postgresql://user:password@host/name, or sqlite:///./agent.db for a file.",
    )


@dataclass(frozen=True)
class Schema:
    """The tables of one part. The first migration leads from version 1 to 2; each may find its work done already."""

    part: str
    metadata: MetaData
    migrations: Sequence[Callable[[Connection], None]] = ()

    @property
    def version(self) -> int:
        return 1 + len(self.migrations)

    def problem(self, connection: Connection) -> str:
        """One line for tables of a later release, or ""."""
        found = version_of(connection, self)
        if found <= self.version:
            return ""
        name = connection.engine.url.database
        return (
            f"DATABASE_URL: {name} has version {found} of the tables of {self.part}, and this release has version "
            f"{self.version}. Deploy the release that wrote them, or restore a copy from before it."
        )


class SchemaError(Exception):
    """The tables are of a later release."""


class Database:
    """Transactions. The tables are created and migrated on first use: the database may start after the server."""

    settings = DatabaseSettings

    def __init__(self, engine: AsyncEngine, schema: Schema) -> None:
        self.engine = engine
        self.schema = schema
        self._has_tables = False

    @staticmethod
    def start_problems(settings: Any) -> list[str]:
        """A line for each part whose tables are of a later release. One that does not answer yet has none."""
        from app.features import FEATURES  # which imports this folder

        url = settings.database_url.get_secret_value()
        schemas = [each for feature in FEATURES if isinstance(each := getattr(feature, "schema", None), Schema)]
        if not has_begun(url):
            return []
        with suppress(Exception), ThreadPoolExecutor(1) as thread:  # an event loop may run in this one
            return thread.submit(lambda: asyncio.run(schema_problems(url, schemas))).result()
        return []

    @asynccontextmanager
    async def begin(self) -> AsyncGenerator[AsyncConnection]:
        """A transaction."""
        if not self._has_tables:
            async with self.engine.begin() as connection:
                await connection.run_sync(create_tables, self.schema)
            self._has_tables = True
        async with self.engine.begin() as connection:
            yield connection

    async def close(self) -> None:
        await self.engine.dispose()


async def schema_problems(url: str, schemas: Sequence[Schema]) -> list[str]:
    engine = connect(url)
    try:
        async with engine.connect() as connection:
            return list(filter(None, [await connection.run_sync(schema.problem) for schema in schemas]))
    finally:
        await engine.dispose()


def version_of(connection: Connection, schema: Schema) -> int:
    """The version that is written down for these tables, or 0."""
    if not inspect(connection).has_table(VERSIONS.name):
        return 0
    found = connection.execute(select(VERSIONS.c.version).where(VERSIONS.c.part == schema.part)).scalar()
    return int(found or 0)


def create_tables(connection: Connection, schema: Schema) -> None:
    """Create what is missing, and migrate what is of an earlier release. Another process may be doing the same.

    Raises SchemaError for tables of a later release.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})"))
    if problem := schema.problem(connection):
        raise SchemaError(problem)
    if version_of(connection, schema) == schema.version:
        create_missing(connection, schema.metadata)
        return
    connection.execute(CreateTable(VERSIONS, if_not_exists=True))
    row = f"INSERT INTO {VERSIONS.name} (part, version) VALUES (:part, 0) ON CONFLICT (part) DO NOTHING"
    connection.execute(text(row), {"part": schema.part})  # in SQLite, no other connection writes from here on
    found = version_of(connection, schema)
    if not found and any(inspect(connection).has_table(name) for name in schema.metadata.tables):
        found = 1
    for migrate in schema.migrations[found - 1 :] if found else ():
        migrate(connection)
    create_missing(connection, schema.metadata)
    connection.execute(update(VERSIONS).where(VERSIONS.c.part == schema.part).values(version=schema.version))


def create_missing(connection: Connection, metadata: MetaData) -> None:
    if connection.dialect.name == "postgresql":
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
