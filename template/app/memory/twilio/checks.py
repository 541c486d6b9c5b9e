"""Memory in Twilio: is the store there, and does the conversation configuration fill it?"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twilio.base.exceptions import TwilioRestException

from app.orchestrator.checks import configuration
from kit.doctor.check import Examined, check, masked

GUIDE = "https://www.twilio.com/docs/conversations/memory"


@check(
    "MEM001",
    fix="Copy the id of your memory store into TWILIO_MEMORY_STORE_ID.",
    docs="https://www.twilio.com/docs/api/errors/520041",
    live=True,
    needs=("ORC001",),
)
async def there(examined: Examined) -> AsyncIterator[str]:
    """The memory store exists."""
    if isinstance(await examined.once(store), TwilioRestException):
        wanted = masked(examined.settings.memory_store_id)
        yield f"There is no memory store {wanted}: nobody is known, and no error says so."


@check(
    "MEM002",
    fix="Wait a minute. If it stays so, create another store and put its id into .env.",
    docs=GUIDE,
    live=True,
    needs=("MEM001",),
)
async def active(examined: Examined) -> AsyncIterator[str]:
    """The memory store is active."""
    status = (await examined.once(store)).status
    if status != "ACTIVE":
        yield f"The memory store is {status}."


@check(
    "MEM003",
    fix="Write the configuration's store into TWILIO_MEMORY_STORE_ID, or link this store to the configuration.",
    docs=GUIDE,
    live=True,
    needs=("ORC002",),
)
async def linked(examined: Examined) -> AsyncIterator[str]:
    """Conversations are remembered in the store that is asked."""
    found = (await examined.once(configuration)).memory_store_id
    wanted = examined.settings.memory_store_id
    if found != wanted:
        other = f"store {masked(found)}" if found else "no store"
        yield f"The conversation configuration writes to {other}, and {masked(wanted)} is asked: nobody is ever known."


@check(
    "MEM004",
    fix="Switch memory extraction on in the conversation configuration.",
    docs=GUIDE,
    live=True,
    needs=("ORC002",),
)
async def extracts(examined: Examined) -> AsyncIterator[str]:
    """Twilio learns from conversations that have ended."""
    if not (await examined.once(configuration)).memory_extraction_enabled:
        yield "The conversation configuration does not extract memory: conversations leave nothing."


async def store(examined: Examined) -> Any:
    """The memory store, or why there is none. Raises when it could not be asked."""
    try:
        return await examined.twilio.memory.v1.stores(examined.settings.memory_store_id).fetch_async()
    except TwilioRestException as error:
        if error.status not in (400, 404):
            raise
        return error
