"""Conversation Orchestrator: the API key and the conversation configuration."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twilio.base.exceptions import TwilioRestException

from app.orchestrator.resources import GROUPING
from app.registry import CHANNELS
from kit.doctor.check import Context, check, masked, region_check

# How the conversation configuration may group conversations. With two channels, a call that ends must close its own
# conversation and no other: only GROUPING separates them.
GROUPINGS = [GROUPING, *(["GROUP_BY_PARTICIPANT_ADDRESSES", "GROUP_BY_PROFILE"] if len(CHANNELS) == 1 else [])]
GUIDE = "https://www.twilio.com/docs/conversations/orchestrator"


@check(
    "ORC001",
    hint="Create an API key (Console: API Keys & creds) and copy both parts; a restricted key needs these products.",
    docs="https://www.twilio.com/docs/iam/api-keys",
    live=True,
    requires=("ACC001", "ACC002"),
)
async def api_key_valid(context: Context) -> AsyncIterator[str]:
    """Twilio accepts the API key."""
    outcome = await context.cached(configuration)
    if isinstance(outcome, TwilioRestException) and outcome.status in (401, 403):
        yield f"Twilio refuses TWILIO_API_KEY with TWILIO_API_SECRET ({outcome.status})."


@check(
    "ORC002",
    hint="Copy its id from 1console.twilio.com, Conversation Orchestrator, into TWILIO_CONVERSATION_CONFIGURATION_ID.",
    docs=GUIDE,
    live=True,
    requires=("ORC001",),
)
async def configuration_exists(context: Context) -> AsyncIterator[str]:
    """The conversation configuration exists."""
    if isinstance(await context.cached(configuration), TwilioRestException):
        wanted = masked(context.settings.conversation_configuration_id)
        yield f"There is no conversation configuration {wanted}: no conversation is remembered, analysed or sent here."


@check(
    "ORC003",
    hint="Create another configuration: the grouping cannot be changed. Put its id into .env.",
    docs=GUIDE,
    live=True,
    requires=("ORC002",),
)
async def grouping_valid(context: Context) -> AsyncIterator[str]:
    """Conversations are grouped as this project needs."""
    found = (await context.cached(configuration)).conversation_grouping_type
    if found not in GROUPINGS:
        yield f"Conversations are grouped by {found}; this project needs {' or '.join(GROUPINGS)}."


has_region = region_check("ORC004", "conversations", "Conversation Orchestrator, Memory and Intelligence")


async def configuration(context: Context) -> Any:
    """The conversation configuration, or the error of one that does not exist. Raises other errors."""
    api = context.twilio.conversations.v2
    try:
        return await api.configurations(context.settings.conversation_configuration_id).fetch_async()
    except TwilioRestException as error:
        if error.status not in (401, 403, 404):
            raise
        return error


if any(channel.name == "voice" for channel in CHANNELS):
    INGESTION = "https://www.twilio.com/docs/conversations/orchestrator/concepts/ingestion"

    @check(
        "CON001",
        hint="Add a VOICE channel to the conversation configuration, without capture rules.",
        docs=GUIDE,
        live=True,
        requires=("ORC002",),
    )
    async def voice_channel_exists(context: Context) -> AsyncIterator[str]:
        """The conversation configuration has the VOICE channel."""
        if "VOICE" not in ((await context.cached(configuration)).channel_settings or {}):
            yield "The conversation configuration has no VOICE channel: calls leave no conversation."

    @check(
        "CON002",
        hint="Take the capture rules out of the VOICE channel: ConversationRelay feeds the conversation by itself.",
        docs=INGESTION,
        live=True,
        requires=("CON001",),
    )
    async def calls_captured_once(context: Context) -> AsyncIterator[str]:
        """Calls are transcribed once."""
        rules = (await context.cached(configuration)).channel_settings["VOICE"].get("captureRules") or []
        if rules:
            yield f"The VOICE channel has {len(rules)} capture rule(s): speech recognition is paid for twice."
