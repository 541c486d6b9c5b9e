"""Your own database."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from sqlalchemy import text

from app.database import Database, connect, is_sqlite, parse_url
from app.registry import STORE
from kit.doctor.check import Context, check, reason

URLS = "https://docs.sqlalchemy.org/en/20/core/engines.html#database-urls"


@check(
    "DBM001",
    hint="Put the address of a PostgreSQL database into DATABASE_URL.",
    docs=URLS,
    requires=("ENV001",),
    until_set_up=True,
)
def database_shared(context: Context) -> Iterator[str]:
    """Several workers share one database."""
    if STORE.shared and is_sqlite(url(context)):
        yield "DATABASE_URL is a SQLite file, and calls may come back elsewhere: each machine has its own."


@check(
    "DBM002",
    hint="Look whether the database runs, whether DATABASE_URL names it, and whether its user may use it.",
    docs=URLS,
    live=True,
)
async def database_answers(context: Context) -> AsyncIterator[str]:
    """The database answers."""
    if is_sqlite(url(context)):  # a connection would create the file
        if path := unwritable(parse_url(url(context)).database):
            yield f"DATABASE_URL names {path}, which cannot be written: nothing is kept."
        return
    engine = connect(url(context))
    try:
        async with engine.connect() as database:
            await database.execute(text("SELECT 1"))
    except Exception as error:
        yield f"The database of DATABASE_URL does not answer ({reason(error)}): nothing is kept."
    finally:
        await engine.dispose()


@check(
    "DBM003",
    hint="Deploy the release that wrote the tables, or restore a copy of the database from before it.",
    docs=URLS,
    live=True,
    requires=("DBM002",),
)
def schema_known(context: Context) -> Iterator[str]:
    """The tables are of this release, or of an earlier one."""
    yield from Database.start_problems(context.settings)


def unwritable(name: str | None) -> Path | None:
    """The file of a SQLite database, if it could not be written."""
    if name in (None, "", ":memory:"):
        return None
    path = Path(str(name))
    return None if os.access(path if path.exists() else path.parent, os.W_OK) else path


def url(context: Context) -> str:
    return str(context.settings.database_url.get_secret_value())
