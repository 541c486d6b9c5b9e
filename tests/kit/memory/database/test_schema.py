"""Tables of memory that an earlier release made are migrated, those of a later one refused; SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text, update

from app.capability import Services
from app.database import VERSIONS, Database, SchemaError, connect
from app.environment import SettingsError, load
from app.memory.backend import Identity
from app.memory.database import DatabaseMemory
from app.registry import RUNTIME
from app.store import InProcess
from kit import defaults

pytest_plugins = ["app.database.tests.servers"]

ADA = Identity("phone", defaults.CALLER)

# What the first release with a database made, and two of its rows.
FIRST_RELEASE = """
CREATE TABLE memory_profile (
    id VARCHAR(32) NOT NULL, kind VARCHAR(16) NOT NULL, value VARCHAR(320) NOT NULL, traits JSON NOT NULL,
    calls INTEGER NOT NULL, seen_at FLOAT NOT NULL, PRIMARY KEY (id), UNIQUE (kind, value)
);
CREATE TABLE memory_entry (
    id VARCHAR(32) NOT NULL, profile_id VARCHAR(32) NOT NULL, kind VARCHAR(16) NOT NULL, content TEXT NOT NULL,
    conversation_id VARCHAR(64), occurred_at FLOAT NOT NULL, PRIMARY KEY (id),
    FOREIGN KEY(profile_id) REFERENCES memory_profile (id) ON DELETE CASCADE
);
CREATE INDEX ix_memory_entry_occurred_at ON memory_entry (occurred_at);
CREATE INDEX ix_memory_entry_profile_id ON memory_entry (profile_id);
INSERT INTO memory_profile VALUES ('p1', 'phone', '+15005550006', '{"first_name": "Ada"}', 3, 1772445600);
INSERT INTO memory_entry VALUES ('e1', 'p1', 'observations', 'Likes tea.', NULL, 1772445600)
"""
# The same without its oldest column, as releases had it before there were versions.
LATER_RELEASE = FIRST_RELEASE.replace(" calls INTEGER", " conversations INTEGER")


async def filled(url: str, sql: str) -> None:
    """A database with these tables alone."""
    engine = connect(url)
    async with engine.begin() as database:
        for name in ("memory_entry", "memory_profile", VERSIONS.name):
            await database.execute(text(f"DROP TABLE IF EXISTS {name}"))
        for statement in filter(str.strip, sql.split(";")):
            await database.exec_driver_sql(statement)
    await engine.dispose()


def build(url: str) -> DatabaseMemory:
    settings = defaults.settings(database_url=url)
    return DatabaseMemory.build(Services(settings, InProcess(), lambda: datetime(2026, 3, 2, 11, tzinfo=UTC)))


async def version(database: Database) -> int:
    async with database.engine.connect() as connection:
        return int(
            (await connection.execute(text("SELECT version FROM schema_version WHERE part = 'memory'"))).scalar_one()
        )


async def set_version(url: str, number: int) -> None:
    memory = build(url)
    await memory.open()
    async with memory.database.engine.begin() as connection:
        await connection.execute(update(VERSIONS).where(VERSIONS.c.part == "memory").values(version=number))
    await memory.close()


@pytest.mark.parametrize("sql", [FIRST_RELEASE, LATER_RELEASE], ids=["calls", "conversations"])
async def test_what_an_earlier_release_kept_is_there_after_the_start(url: str, sql: str) -> None:
    await filled(url, sql)
    memory = build(url)
    await memory.open()
    profile = await memory.find_profile(ADA)
    assert profile == "p1"
    memories = await memory.recall(profile)
    assert memories.traits["first_name"] == "Ada" and memories.traits["conversations before this one"] == "3"
    assert [each.text for each in memories.observations] == ["Likes tea."]
    await memory.on_end(ADA)
    async with memory.database.engine.connect() as connection:
        counted = (await connection.execute(text("SELECT conversations FROM memory_profile"))).scalar_one()
    assert counted == 4 and await version(memory.database) == DatabaseMemory.schema.version
    await memory.close()


async def test_a_new_database_has_the_version_of_this_release(url: str) -> None:
    await filled(url, "")
    memory = build(url)
    await memory.open()
    assert await version(memory.database) == DatabaseMemory.schema.version
    await memory.close()


async def test_workers_that_start_at_once_migrate_once(url: str) -> None:
    await filled(url, FIRST_RELEASE)
    workers = [build(url) for _ in range(4)]
    await asyncio.gather(*(each.open() for each in workers))
    assert [await each.find_profile(ADA) for each in workers] == ["p1"] * 4
    for each in workers:
        await each.close()


async def test_tables_of_a_later_release_are_refused_and_left_alone(url: str) -> None:
    await filled(url, "")
    await set_version(url, 99)
    memory = build(url)
    with pytest.raises(SchemaError, match="has version 99 of the tables of memory, and this release has version 2"):
        await memory.open()
    assert await version(memory.database) == 99
    await memory.close()


async def test_the_server_does_not_start_on_them(url: str, environment: pytest.MonkeyPatch) -> None:
    """One line with the file, the version found and the one wanted."""
    await filled(url, "")
    await set_version(url, 99)
    environment.setenv("DATABASE_URL", url)
    environment.setattr("app.environment.START_CHECKS", [Database.start_problems])
    environment.setattr(RUNTIME, "missing_env", dict)
    environment.setattr(RUNTIME, "invalid_models", lambda settings: [])
    with pytest.raises(SettingsError) as error:
        load()
    (line,) = error.value.problems
    name = Path(url.removeprefix("sqlite:///")).name if url.startswith("sqlite") else "postgres"
    assert name in line and "version 99" in line and "version 2" in line and "@" not in line
    await set_version_back(url)
    assert load()


async def set_version_back(url: str) -> None:
    engine = connect(url)
    async with engine.begin() as connection:
        await connection.execute(update(VERSIONS).where(VERSIONS.c.part == "memory").values(version=2))
    await engine.dispose()


def test_a_database_that_does_not_answer_yet_is_no_problem_of_the_start(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/none.db", "sqlite://", "postgresql://agent:a-key-for-tests@127.0.0.1:1/agent"):
        assert Database.start_problems(defaults.settings(database_url=url)) == []
    assert not list(tmp_path.iterdir()), "the check makes no file"
