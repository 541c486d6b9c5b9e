"""The token that TwiML gives to a call as a `<Parameter>`: the WebSocket opens no call without it.

Twilio signs the URL of `/ws`, which is the same for every call: one captured header would open calls in any name. The
token is TIME.MAC, the seconds at which it was issued and an HMAC of them and of the CallSid with the Auth Token.
"""

from __future__ import annotations

import hmac
from datetime import datetime

from app.settings import Settings

PARAMETER = "callToken"
FIRST_SETUP = 300.0  # seconds that may pass from TwiML to the first setup; later ones need a call in progress


def issue(settings: Settings, call_sid: str, now: datetime) -> str:
    """The token of a call, as of now."""
    return _token(settings, call_sid, str(int(now.timestamp())))


def age(settings: Settings, call_sid: str, token: str, now: datetime) -> float:
    """Seconds since the token was issued. Raises ValueError for one that is not this call's."""
    issued = token.partition(".")[0]
    if not hmac.compare_digest(_bytes(token), _bytes(_token(settings, call_sid, issued))):
        raise ValueError("setup has no token of this call: TwiML must come from /twiml")
    return now.timestamp() - int(issued)


def _token(settings: Settings, call_sid: str, issued: str) -> str:
    key = settings.auth_token.get_secret_value().encode()
    return f"{issued}.{hmac.new(key, _bytes(f'{PARAMETER} {issued} {call_sid}'), 'sha256').hexdigest()}"


def _bytes(text: str) -> bytes:
    return text.encode(errors="replace")  # JSON may hold half a surrogate pair
