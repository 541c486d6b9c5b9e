"""The phone numbers of the account: do they ring here, and nowhere else?"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

from twilio.base.exceptions import TwilioRestException

from kit.doctor.check import Examined, check, listed, masked, shown

CONFIGURE = "https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource"
HOME = "us1"
POINT = "Point the number at PUBLIC_URL/twiml with HTTP POST; README.md says how, under Connect a number."


@check(
    "NUM001", fix="Buy a number, or correct TWILIO_PHONE_NUMBER.", docs=CONFIGURE, live=True, needs=("ACC001", "ACC002")
)
async def there(examined: Examined) -> AsyncIterator[str]:
    """The account has a number for the agent."""
    if not await examined.once(numbers):
        wanted = os.environ.get("TWILIO_PHONE_NUMBER")
        yield f"The account has no number {masked(wanted)}." if wanted else "The account has no phone number."


@check("NUM002", fix=POINT, docs="https://www.twilio.com/docs/api/errors/11200", live=True, needs=("NUM001",))
async def rings_here(examined: Examined) -> AsyncIterator[str]:
    """A number's calls come to this server."""
    known = await examined.once(numbers)
    if not await examined.once(ours):
        others = ", ".join(sorted({shown(each.voice_url) for each in known})[:3])
        yield f"No number calls {webhook(examined)}; calls go to {others}."


@check("NUM003", fix=POINT, docs=CONFIGURE, live=True, needs=("NUM002",))
async def method(examined: Examined) -> AsyncIterator[str]:
    """Calls come as POST, which is what is signed and answered."""
    for number in await examined.once(ours):
        if (number.voice_method or "POST").upper() != "POST":
            yield f"The number {masked(number.phone_number)} calls with {number.voice_method}: answered with 405."


@check(
    "NUM004",
    fix="Take the TwiML application out of the number's voice configuration, or point the application here.",
    docs="https://www.twilio.com/docs/usage/api/applications",
    live=True,
    needs=("NUM002",),
)
async def no_application(examined: Examined) -> AsyncIterator[str]:
    """No TwiML application answers in the number's place."""
    for number in await examined.once(ours):
        application = (await examined.once(applications)).get(number.voice_application_sid)
        if application is None:
            continue
        if application.voice_url != webhook(examined) or (application.voice_method or "POST").upper() != "POST":
            where = shown(application.voice_url)
            yield f"A TwiML application answers for {masked(number.phone_number)}: calls go to {where}."


@check(
    "NUM005",
    fix="Take the number off the SIP trunk: Elastic SIP Trunking > the trunk > Numbers.",
    docs="https://www.twilio.com/docs/sip-trunking",
    live=True,
    needs=("NUM002",),
)
async def no_trunk(examined: Examined) -> AsyncIterator[str]:
    """No SIP trunk takes the number's calls."""
    for number in await examined.once(ours):
        if number.trunk_sid:
            yield f"The number {masked(number.phone_number)} belongs to a SIP trunk, which takes its calls."


@check(
    "NUM006",
    fix="Take a number with voice, or set its incoming calls to voice.",
    docs=CONFIGURE,
    live=True,
    needs=("NUM002",),
)
async def speaks(examined: Examined) -> AsyncIterator[str]:
    """The number takes phone calls."""
    for number in await examined.once(ours):
        if not (number.capabilities or {}).get("voice", True):
            yield f"The number {masked(number.phone_number)} cannot take phone calls."
        elif number.voice_receive_mode == "fax":
            yield f"The number {masked(number.phone_number)} takes calls for faxes."


@check(
    "NUM007",
    fix="Route the number to US1: Console, Phone Numbers, the number, Routing. Or use the token of that region.",
    docs="https://www.twilio.com/docs/global-infrastructure/inbound-processing-console",
    live=True,
    needs=("NUM002",),
)
async def at_home(examined: Examined) -> AsyncIterator[str]:
    """The number's calls are processed where the account's token is known."""
    for number in await examined.once(ours):
        where = await region(examined, number.phone_number)
        if where != HOME:
            yield f"Calls to {masked(number.phone_number)} are processed in {where}: another token signs them."


def webhook(examined: Examined) -> str:
    return f"{examined.settings.public_url}/twiml"


async def numbers(examined: Examined) -> list[Any]:
    """The numbers of the account, or the one that the environment names."""
    wanted = os.environ.get("TWILIO_PHONE_NUMBER")
    filters = {"phone_number": wanted} if wanted else {}
    return await listed(examined.account.incoming_phone_numbers, **filters)


async def ours(examined: Examined) -> list[Any]:
    """Those whose calls are meant for this server: by their own webhook, or by an application's."""
    found = []
    for number in await examined.once(numbers):
        applied = (await examined.once(applications)).get(number.voice_application_sid)
        if webhook(examined) in (number.voice_url, applied and applied.voice_url):
            found.append(number)
    return found


async def applications(examined: Examined) -> dict[str, Any]:
    """The TwiML applications that answer for a number, by SID."""
    sids = {each.voice_application_sid for each in await examined.once(numbers) if each.voice_application_sid}
    return {sid: await examined.account.applications(sid).fetch_async() for sid in sorted(sids)}


async def region(examined: Examined, number: str) -> str:
    """Where the calls to a number are processed."""
    try:
        route = await examined.account.routes.v2.phone_numbers(number).fetch_async()
    except TwilioRestException as error:
        if error.status != 404:
            raise
        return HOME
    return str(route.voice_region or HOME).lower()
