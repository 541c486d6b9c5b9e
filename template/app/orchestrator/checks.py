"""Conversation Orchestrator: the API key, and the configuration that everything hangs on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twilio.base.exceptions import TwilioRestException

from app.registry import CHANNELS
from kit.doctor.check import Examined, check, masked

# How the conversation configuration may group conversations. With two channels, a call that ends must close its own
# conversation and no other.
ONE_BY_ONE = "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE"
GROUPINGS = [ONE_BY_ONE, *(["GROUP_BY_PARTICIPANT_ADDRESSES", "GROUP_BY_PROFILE"] if len(CHANNELS) == 1 else [])]
GUIDE = "https://www.twilio.com/docs/conversations/orchestrator"


@check(
    "ORC001",
    fix="Create an API key (Console: Account, API keys) and copy both parts; a restricted key needs these products.",
    docs="https://www.twilio.com/docs/iam/api-keys",
    live=True,
    needs=("ACC001", "ACC002"),
)
async def key(examined: Examined) -> AsyncIterator[str]:
    """Twilio takes the API key."""
    outcome = await examined.once(configuration)
    if isinstance(outcome, TwilioRestException) and outcome.status in (401, 403):
        yield f"Twilio refuses TWILIO_API_KEY with TWILIO_API_SECRET ({outcome.status})."


@check(
    "ORC002",
    fix="Copy the id of your conversation configuration into TWILIO_CONVERSATION_CONFIGURATION_ID.",
    docs=GUIDE,
    live=True,
    needs=("ORC001",),
)
async def there(examined: Examined) -> AsyncIterator[str]:
    """The conversation configuration exists."""
    if isinstance(await examined.once(configuration), TwilioRestException):
        wanted = masked(examined.settings.conversation_configuration_id)
        yield f"There is no conversation configuration {wanted}: nothing is remembered, analysed or brought here."


@check(
    "ORC003",
    fix="Create another configuration: the grouping cannot be changed. Put its id into .env.",
    docs=GUIDE,
    live=True,
    needs=("ORC002",),
)
async def grouping(examined: Examined) -> AsyncIterator[str]:
    """Conversations are grouped as this project needs it."""
    found = (await examined.once(configuration)).conversation_grouping_type
    if found not in GROUPINGS:
        yield f"Conversations are grouped by {found}; this project needs {' or '.join(GROUPINGS)}."


async def configuration(examined: Examined) -> Any:
    """The conversation configuration, or why there is none. Raises when it could not be asked."""
    api = examined.twilio.conversations.v2
    try:
        return await api.configurations(examined.settings.conversation_configuration_id).fetch_async()
    except TwilioRestException as error:
        if error.status not in (401, 403, 404):
            raise
        return error
