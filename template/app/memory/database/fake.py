"""`given.memory` of a scenario, in the database of the simulated agent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import Database, connect
from app.memory import Memory
from app.memory.backend import Identity
from app.memory.database import DatabaseMemory, Profile

FIELDS = {"callers", "fails", "slow"}
CALLER_FIELDS = {"traits", "observations", "summaries"}
UNREACHABLE = "sqlite:////dev/null/agent.db"


async def given_memory(app: FastAPI, account: object, facts: dict[str, Any]) -> None:
    """Store the memories of a scenario. Raises ValueError for an unknown field."""
    if wrong := facts.keys() - FIELDS:
        raise ValueError(f"memory has no {', '.join(wrong)}; it has {', '.join(sorted(FIELDS))}")
    memory = next((each for each in app.state.conversations.capabilities if isinstance(each, Memory)), None)
    if memory is None or not isinstance(memory.backend, DatabaseMemory):
        return
    database = memory.backend
    for phone, known in facts.get("callers", {}).items():
        if wrong := known.keys() - CALLER_FIELDS:
            raise ValueError(f"a caller has no {', '.join(wrong)}; a caller has {', '.join(sorted(CALLER_FIELDS))}")
        profile = await database.find_or_create_profile(Identity("phone", phone))
        for observation in known.get("observations", []):
            await database.add_observation(profile, observation)
        for summary in known.get("summaries", []):
            await database.add_summary(profile, summary)
        async with database.database.begin() as connection:
            traits = update(Profile).where(Profile.id == profile).values(traits=known.get("traits", {}))
            await connection.execute(traits)
    if facts.get("fails"):
        await database.close()
        database.database.engine = connect(UNREACHABLE)
    if facts.get("slow"):
        delay(database.database, facts["slow"])


def delay(database: Database, seconds: float) -> None:
    """Begin every transaction so many seconds later."""
    begin = database.begin

    @asynccontextmanager
    async def delayed() -> AsyncGenerator[AsyncConnection]:
        await asyncio.sleep(seconds)
        async with begin() as connection:
            yield connection

    database.begin = delayed  # type: ignore[method-assign]


GIVEN = {"memory": given_memory}
