"""Memory in Twilio: the memory store, and its link to the conversation configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twilio.base.exceptions import TwilioRestException

from app.orchestrator.checks import configuration
from kit.doctor.check import Context, check, masked

GUIDE = "https://www.twilio.com/docs/conversations/memory"


@check(
    "MEM001",
    hint="Copy the id of your memory store into TWILIO_MEMORY_STORE_ID.",
    docs="https://www.twilio.com/docs/api/errors/520041",
    live=True,
    requires=("ORC001",),
)
async def store_exists(context: Context) -> AsyncIterator[str]:
    """The memory store exists."""
    if isinstance(await context.cached(store), TwilioRestException):
        wanted = masked(context.settings.memory_store_id)
        yield f"There is no memory store {wanted}: every caller is a new one, without an error."


@check(
    "MEM002",
    hint="Wait a minute. If it stays so, create another store and put its id into .env.",
    docs=GUIDE,
    live=True,
    requires=("MEM001",),
)
async def store_active(context: Context) -> AsyncIterator[str]:
    """The memory store is active."""
    status = (await context.cached(store)).status
    if status != "ACTIVE":
        yield f"The memory store is {status}."


@check(
    "MEM003",
    hint="Write the configuration's store into TWILIO_MEMORY_STORE_ID, or link this store to the configuration.",
    docs=GUIDE,
    live=True,
    requires=("ORC002",),
)
async def store_linked(context: Context) -> AsyncIterator[str]:
    """Conversations are remembered in the store that the agent reads."""
    found = (await context.cached(configuration)).memory_store_id
    wanted = context.settings.memory_store_id
    if found != wanted:
        other = f"store {masked(found)}" if found else "no store"
        yield f"The conversation configuration writes to {other}, the agent reads {masked(wanted)}: no caller is known."


@check(
    "MEM004",
    hint="Switch memory extraction on in the conversation configuration.",
    docs=GUIDE,
    live=True,
    requires=("ORC002",),
)
async def extraction_enabled(context: Context) -> AsyncIterator[str]:
    """Twilio extracts memories from conversations that have ended."""
    if not (await context.cached(configuration)).memory_extraction_enabled:
        yield "The conversation configuration does not extract memory: conversations leave no memories."


async def store(context: Context) -> Any:
    """The memory store, or the error of one that does not exist. Raises other errors."""
    try:
        return await context.twilio.memory.v1.stores(context.settings.memory_store_id).fetch_async()
    except TwilioRestException as error:
        if error.status not in (400, 404):
            raise
        return error
