"""The ledger of an earlier release goes on under a version; that of a later one is refused. SQLite and PostgreSQL."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from app.database import VERSIONS, Database, SchemaError, connect
from app.outbound.ledger import SCHEMA, Ledger
from app.outbound.tests.dialing import ADA, Clock, services
from kit import defaults

pytest_plugins = ["app.database.tests.servers"]

# What the first release with a ledger made.
FIRST_RELEASE = """
CREATE TABLE outbound_entry (
    number INTEGER NOT NULL, subject VARCHAR(32) NOT NULL, body TEXT NOT NULL, mac VARCHAR(64) NOT NULL,
    PRIMARY KEY (number)
);
CREATE INDEX ix_outbound_entry_subject ON outbound_entry (subject);
CREATE TABLE outbound_head (
    id INTEGER NOT NULL, length INTEGER NOT NULL, mac VARCHAR(64) NOT NULL, turns INTEGER NOT NULL,
    next_call FLOAT NOT NULL, PRIMARY KEY (id)
);
CREATE TABLE outbound_subject (
    handle VARCHAR(64) NOT NULL, pseudonym VARCHAR(32) NOT NULL, key VARCHAR(64) NOT NULL, PRIMARY KEY (handle),
    UNIQUE (pseudonym)
);
CREATE TABLE outbound_suppression (
    hash VARCHAR(64) NOT NULL, reason VARCHAR(40) NOT NULL, until FLOAT NOT NULL, PRIMARY KEY (hash)
)
"""
TABLES = ("outbound_entry", "outbound_head", "outbound_subject", "outbound_suppression", VERSIONS.name)


async def ledger_of(url: str, sql: str) -> Ledger:
    engine = connect(url)
    async with engine.begin() as database:
        for name in TABLES:
            await database.execute(text(f"DROP TABLE IF EXISTS {name}"))
        for statement in filter(str.strip, sql.split(";")):
            await database.exec_driver_sql(statement)
    await engine.dispose()
    return Ledger.build(services(Clock(), database_url=url).settings, Clock())


async def run(url: str, sql: str) -> None:
    engine = connect(url)
    async with engine.begin() as database:
        await database.execute(text(sql))
    await engine.dispose()


@pytest.mark.parametrize("sql", [FIRST_RELEASE, ""], ids=["earlier", "new"])
async def test_a_ledger_of_an_earlier_release_goes_on(url: str, sql: str) -> None:
    ledger = await ledger_of(url, sql)
    await ledger.suppress(ADA, "in a call")
    assert await ledger.suppressed(ADA) == "in a call"
    async with ledger.database.engine.connect() as connection:
        rows = (await connection.execute(text("SELECT part, version FROM schema_version WHERE part = 'ledger'"))).all()
    assert [tuple(row) for row in rows] == [("ledger", SCHEMA.version)]
    await ledger.close()


async def test_a_ledger_of_a_later_release_is_refused_and_kept(url: str) -> None:
    ledger = await ledger_of(url, FIRST_RELEASE)
    await ledger.suppress(ADA, "in a call")
    await ledger.close()
    await run(url, "UPDATE schema_version SET version = 7 WHERE part = 'ledger'")
    later = Ledger.build(services(Clock(), database_url=url).settings, Clock())
    with pytest.raises(SchemaError, match="version 7 of the tables of ledger, and this release has version 1"):
        await later.suppressed(ADA)
    await later.close()
    (line,) = Database.start_problems(defaults.settings(database_url=url))
    assert "version 7" in line
    await run(url, "DELETE FROM schema_version")
