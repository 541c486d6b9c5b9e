"""What HIPAA asks of contracts, numbers, recordings and keys. Not legal advice.

Sources: "Architecting for HIPAA on Twilio", December 2024, and Twilio's skill twilio-security-compliance-hipaa, both by
their words in search results of 2026-11-28.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx2
import phonenumbers

from app.compliance.hipaa.baa import open_points
from app.compliance.hipaa.rotation import OLD
from app.registry import folders
from app.voice.checks import own_numbers
from kit.doctor.check import REQUEST_TIMEOUT, Context, check, masked

EDITIONS = "https://www.twilio.com/docs/iam/twilio-editions/hippa"
RECORDINGS = "https://www.twilio.com/docs/voice/api/recording"
US = ("US", "PR", "VI", "GU", "AS", "MP")


@check("HIP001", hint="Fill the entry when there is a contract, not before.", docs=EDITIONS, until_set_up=True)
def agreements_complete(context: Context) -> Iterator[str]:
    """Everybody who gets health data has a business associate agreement, with day, name and next review."""
    yield from open_points(context.root, datetime.now(UTC).date())


@check(
    "HIP002", hint="Take a number of the USA: the BAA covers no other.", docs=EDITIONS, live=True, requires=("NUM002",)
)
async def numbers_are_american(context: Context) -> AsyncIterator[str]:
    """The numbers of this agent have area codes of the USA."""
    for number in await context.cached(own_numbers):
        if phonenumbers.region_code_for_number(phonenumbers.parse(number.phone_number)) not in US:
            yield f"The number {masked(number.phone_number)} is not one of the USA."


@check(
    "HIP003",
    hint="Console, Voice, Settings: enforce HTTP Basic Authentication for media.",
    docs=RECORDINGS,
    live=True,
    requires=("ACC001", "ACC002"),
)
async def recordings_ask_for_a_password(context: Context) -> AsyncIterator[str]:
    """A recording cannot be heard without a password. Tried with the newest one, if there is one."""
    if (newest := await context.cached(newest_recording)) is None:
        return
    address = f"https://api.twilio.com{newest.uri.removesuffix('.json')}.wav"
    async with httpx2.AsyncClient(transport=context.transport, timeout=REQUEST_TIMEOUT) as http:
        status = (await http.head(address)).status_code
    if status not in (401, 403):
        yield f"A recording is answered without a password ({status}): whoever has its address hears it."


@check(
    "HIP005",
    hint="Console, Voice, Settings: upload a public key, and switch the encryption of recordings on.",
    docs="https://www.twilio.com/docs/voice/tutorials/voice-recording-encryption",
    live=True,
    requires=("HIP003",),
)
async def recordings_encrypted(context: Context) -> AsyncIterator[str]:
    """Recordings are encrypted with a key of yours. Looks at the newest one, if there is one."""
    newest = await context.cached(newest_recording)
    if newest is not None and not newest.encryption_details:
        yield "A recording is not encrypted with a key of yours: whoever gets into the account hears it."


async def newest_recording(context: Context) -> Any:
    """The newest recording of the account, or None."""
    return next(iter(await context.account.recordings.page_async(page_size=1)), None)


@check("HIP006", hint="Run agent rotate-key, which makes one.", docs=EDITIONS, requires=("ENV001",), until_set_up=True)
def api_key_used(context: Context) -> Iterator[str]:
    """Requests to Twilio have an API key, which can be replaced."""
    settings = context.settings
    if "app.compliance.recording" in folders() and not (settings.api_key and settings.api_secret):
        yield "Recordings are paused and resumed with the Auth Token: it cannot be replaced while servers run."


@check("HIP004", hint="Give every server the new key, then run agent rotate-key --finish.", docs=EDITIONS)
def rotation_finished(context: Context) -> Iterator[str]:
    """No API key is left over from a rotation."""
    if os.environ.get(OLD):
        yield f"{OLD} is set: the old key works on."
