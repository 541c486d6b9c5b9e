"""What a scenario says of memory, in the database that the simulated agent keeps it in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.memory import Memory
from app.memory.backend import Identity
from app.memory.database import DatabaseMemory, Profile, connect

FIELDS = {"callers", "fails", "slow"}
OF_A_CALLER = {"traits", "observations", "summaries"}
NOWHERE = "sqlite:////dev/null/memory.db"


async def given_memory(app: FastAPI, account: object, facts: dict[str, Any]) -> None:
    """Make `given.memory` of a scenario so. Raises ValueError for what memory cannot be."""
    if wrong := facts.keys() - FIELDS:
        raise ValueError(f"memory has no {', '.join(wrong)}; it has {', '.join(sorted(FIELDS))}")
    memory = next((each for each in app.state.conversations.capabilities if isinstance(each, Memory)), None)
    if memory is None or not isinstance(memory.backend, DatabaseMemory):
        return
    database = memory.backend
    for phone, known in facts.get("callers", {}).items():
        if wrong := known.keys() - OF_A_CALLER:
            raise ValueError(f"a caller has no {', '.join(wrong)}; a caller has {', '.join(sorted(OF_A_CALLER))}")
        profile = await database.create(Identity("phone", phone))
        for observation in known.get("observations", []):
            await database.remember(profile, observation)
        for summary in known.get("summaries", []):
            await database.summarize(profile, summary)
        async with database.engine.begin() as connection:
            traits = update(Profile).where(Profile.id == profile).values(traits=known.get("traits", {}))
            await connection.execute(traits)
    if facts.get("fails"):
        await database.engine.dispose()
        database.engine = connect(NOWHERE)
    if facts.get("slow"):
        delay(database, facts["slow"])


def delay(database: DatabaseMemory, seconds: float) -> None:
    """Let every transaction begin so many seconds later."""
    begin = database._begin

    @asynccontextmanager
    async def later() -> AsyncGenerator[AsyncConnection]:
        await asyncio.sleep(seconds)
        async with begin() as connection:
            yield connection

    database._begin = later  # type: ignore[method-assign]


GIVEN = {"memory": given_memory}
