"""The API key is replaced in two steps: between them both keys work, while servers get the new one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import httpx2
from dotenv import dotenv_values, set_key, unset_key
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client

from app.config import PROJECT
from app.settings import Settings
from app.twilio_http import Http

KEY, SECRET, OLD = "TWILIO_API_KEY", "TWILIO_API_SECRET", "TWILIO_API_KEY_OLD"
DELAYS = (1.0, 2.0, 4.0, 8.0)  # seconds: a new key does not work at once


class RotationError(Exception):
    """Nothing was changed. The message says why."""


async def begin(settings: Settings, file: Path, transport: httpx2.AsyncBaseTransport | None = None) -> str | None:
    """Create a key, try it, and write it into `file`, which keeps the id of the old one. Returns that id, or None.

    Raises RotationError, TwilioRestException or OSError; the new key is gone then, and `file` is as it was.
    """
    known = dotenv_values(file, interpolate=False)
    old = known.get(KEY)
    if known.get(OLD):
        raise RotationError(f"{file} has {OLD}: a rotation has begun. End it with --finish.")
    if not known:
        raise RotationError(f"{file} has no variables. Name the file with the settings by --file.")
    restore = restorer(file)
    async with client(settings, transport) as twilio:
        created = await twilio.api.account.new_keys.create_async(
            friendly_name=f"{PROJECT} {datetime.now(UTC):%Y-%m-%d}"
        )
        try:
            await assert_works(settings, str(created.sid), str(created.secret), transport)
            for name, value in {OLD: old, SECRET: created.secret, KEY: created.sid}.items():
                if value:
                    set_key(file, name, str(value), quote_mode="never", follow_symlinks=True)
        except BaseException:
            restore()
            await twilio.api.account.keys(created.sid).delete_async()
            raise
    return old


async def finish(settings: Settings, file: Path, transport: httpx2.AsyncBaseTransport | None = None) -> str:
    """Revoke the old key, once the new one works. Returns its id. Raises RotationError or TwilioRestException."""
    known = dotenv_values(file, interpolate=False)
    old, key, secret = known.get(OLD), known.get(KEY), known.get(SECRET)
    if not old:
        raise RotationError(f"{file} has no {OLD}: no rotation has begun.")
    if not key or not secret or key == old:
        raise RotationError(f"{file} has no new {KEY} beside {OLD}: the old key is the only one.")
    await assert_works(settings, key, secret, transport)
    async with client(settings, transport) as twilio:
        try:
            await twilio.api.account.keys(old).delete_async()
        except TwilioRestException as error:
            if error.status != 404:  # revoked by an earlier try
                raise
    unset_key(file, OLD, quote_mode="never", follow_symlinks=True)
    return old


def restorer(file: Path) -> Callable[[], object]:
    """A function that writes the bytes of now again."""
    return partial(file.write_bytes, file.read_bytes())


async def assert_works(settings: Settings, key: str, secret: str, transport: httpx2.AsyncBaseTransport | None) -> None:
    """Raises RotationError for a key that Twilio does not take."""
    for delay in (*DELAYS, None):
        async with client(settings, transport, (key, secret)) as twilio:
            try:
                await twilio.incoming_phone_numbers.page_async(page_size=1)
                return
            except Exception as error:  # the library raises several for a page
                if delay is None:
                    raise RotationError(f"Twilio does not take the new key ({type(error).__name__}).") from None
        await asyncio.sleep(delay)


@asynccontextmanager
async def client(
    settings: Settings, transport: httpx2.AsyncBaseTransport | None, key: tuple[str, str] | None = None
) -> AsyncGenerator[Client]:
    """With the Auth Token, since no standard key may make another, or with a key."""
    user, password = key or (settings.account_sid, settings.auth_token.get_secret_value())
    http = Http(transport, 15.0, settings)
    try:
        yield Client(user, password, settings.account_sid, http_client=http)
    finally:
        await http.close()
