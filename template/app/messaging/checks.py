"""Messaging: status callback, capture rules, and the number."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import phonenumbers

from app.messaging.inbox import bare
from app.orchestrator.checks import configuration
from kit.doctor.check import Context, check, list_records, masked, safe_url

WEBHOOK = "/webhooks/conversations"
INGESTION = "https://www.twilio.com/docs/conversations/orchestrator/concepts/ingestion"
NUMBERS = "https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource"


@check(
    "MSG001",
    hint="Put PUBLIC_URL/webhooks/conversations into the conversation configuration as a status callback, with POST.",
    docs="https://www.twilio.com/docs/conversations/orchestrator/webhooks",
    live=True,
    requires=("ORC002",),
)
async def status_callback_is_ours(context: Context) -> AsyncIterator[str]:
    """The conversation configuration sends its events to this server."""
    wanted = f"{context.settings.public_url}{WEBHOOK}"
    callbacks = (await context.cached(configuration)).status_callbacks or []
    ours = [each for each in callbacks if each.get("url") == wanted]
    if not ours:
        others = ", ".join(safe_url(each.get("url")) for each in callbacks) or "no address"
        yield f"The conversation configuration sends its events to {others}, not to {wanted}: no message is answered."
    elif any(each.get("method", "POST") != "POST" for each in ours):
        yield f"The status callback to {wanted} is called with another method than POST: answered with 405."


@check(
    "MSG002",
    hint="Give the channel a capture rule from * to that address.",
    docs=INGESTION,
    live=True,
    requires=("ORC002",),
)
async def messages_captured(context: Context) -> AsyncIterator[str]:
    """Messages to each of the agent's addresses are captured."""
    channels = (await context.cached(configuration)).channel_settings or {}
    for channel, address in context.settings.addresses.items():
        if channel == "CHAT":  # no capture rule: the application that opens a chat creates its conversation
            continue
        rules = (channels.get(channel) or {}).get("captureRules") or []
        if not any(rule.get("from") == "*" and bare(str(rule.get("to"))) in ("*", bare(address)) for rule in rules):
            yield f"No capture rule takes {channel} to {masked(address)}: its messages do not arrive."


@check(
    "MSG003",
    hint="Buy a number that takes SMS, or correct TWILIO_PHONE_NUMBER.",
    docs=NUMBERS,
    live=True,
    requires=("ACC001", "ACC002"),
)
async def number_takes_sms(context: Context) -> AsyncIterator[str]:
    """The account has the number, and the number takes SMS."""
    found = await context.cached(numbers)
    if not found:
        yield f"The account has no number {masked(context.settings.phone_number)}."
    elif not (found[0].capabilities or {}).get("sms", True):
        yield f"The number {masked(context.settings.phone_number)} takes no SMS."


@check(
    "MSG004",
    hint="Empty the number's own messaging webhook: Conversation Orchestrator brings the messages.",
    docs=NUMBERS,
    live=True,
    requires=("MSG003",),
)
async def number_has_no_webhook(context: Context) -> AsyncIterator[str]:
    """Texts to the number are answered once."""
    for each in await context.cached(numbers):
        if each.sms_application_sid or each.sms_url:
            where = "a TwiML application" if each.sms_application_sid else safe_url(each.sms_url)
            yield f"Texts to {masked(each.phone_number)} go to {where} too: customers get two answers."


@check(
    "MSG005",
    hint="Register it in the Console: Trust Hub, Registrations.",
    docs="https://www.twilio.com/docs/api/errors/30034",
    live=True,
    requires=("MSG003",),
)
async def number_registered(context: Context) -> AsyncIterator[str]:
    """A number in the US may send messages: A2P 10DLC campaign, or verification of a toll-free number."""
    (number, *_) = await context.cached(numbers)
    parsed = phonenumbers.parse(number.phone_number)
    messaging = context.account.messaging.v1
    if phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.TOLL_FREE:
        found = await list_records(messaging.tollfree_verifications, tollfree_phone_number_sid=number.sid)
        if not any(each.status == "TWILIO_APPROVED" for each in found):
            yield f"Carriers block the messages of {masked(number.phone_number)} (30032): toll-free, not verified."
    elif phonenumbers.region_code_for_number(parsed) in ("US", "PR"):
        campaigns = await campaigns_of(messaging, number.sid)
        if "VERIFIED" not in campaigns:
            state = f"its campaign is {campaigns[0]}" if campaigns else "it belongs to no A2P 10DLC campaign"
            yield f"US carriers block the messages of {masked(number.phone_number)} (30034): {state}."


async def campaigns_of(messaging: Any, number_sid: str) -> list[str]:
    """The states of the A2P campaigns that a number belongs to, by its Messaging Service."""
    for service in await list_records(messaging.services):
        if number_sid in [each.sid for each in await list_records(service.phone_numbers)]:
            return [each.campaign_status for each in await list_records(service.us_app_to_person)]
    return []


async def numbers(context: Context) -> list[Any]:
    """The number of the project, if the account has it."""
    return await list_records(context.account.incoming_phone_numbers, phone_number=context.settings.phone_number)
