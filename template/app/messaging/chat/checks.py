"""Chat: the bridge, and the service at its other end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twilio.base.exceptions import TwilioRestException

from app.orchestrator.checks import configuration
from kit.doctor.check import Context, check, masked

GUIDE = "https://www.twilio.com/docs/conversations/orchestrator/guides/classic-bridge"


@check("CHT001", hint="Run agent setup apply, which makes the bridge.", docs=GUIDE, live=True, requires=("ORC002",))
async def bridge_exists(context: Context) -> AsyncIterator[str]:
    """The conversation configuration is bridged to the chat service."""
    bridged, named = await bridged_service(context), context.settings.conversations_service_sid
    if not bridged:
        yield "The conversation configuration has no bridge to Conversations (classic): no chat reaches the agent."
    elif named and named != bridged:
        yield f"The configuration is bridged to {masked(bridged)}; TWILIO_CONVERSATIONS_SERVICE_SID is {masked(named)}."


@check(
    "CHT002",
    hint="Run agent setup apply, which makes a service and the bridge to it.",
    docs="https://www.twilio.com/docs/conversations-classic/api/service-resource",
    live=True,
    requires=("CHT001",),
)
async def service_exists(context: Context) -> AsyncIterator[str]:
    """The chat service exists."""
    sid = await bridged_service(context)
    try:
        await context.account.conversations.v1.services(sid).fetch_async()
    except TwilioRestException as error:
        if error.status != 404:
            raise
        yield f"There is no chat service {masked(sid)}: no chat reaches the agent."


async def bridged_service(context: Context) -> str:
    """The SID of the service that the configuration is bridged to, or an empty text."""
    bridge: Any = (await context.cached(configuration)).conversations_v1_bridge or {}
    return str(bridge.get("serviceId") or "")
