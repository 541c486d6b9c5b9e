"""Signatures of webhooks."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from app.voice import call_token
from kit import defaults
from kit.plugin import Web, sign

FORM = {
    "AccountSid": defaults.ACCOUNT_SID,
    "CallSid": "CA" + "1" * 32,
    "CallStatus": "in-progress",
    "From": defaults.CALLER,
}
PATHS = ["/twiml", "/connect-action"]

# Wrong signatures, computed for `url` and the form above.
WRONG: dict[str, Callable[[str], str]] = {
    "none": lambda url: "",
    "malformed": lambda url: "x" * 28,
    "for another address": lambda url: sign(url.replace("agent.example", "evil.example"), FORM),
    "for another path": lambda url: sign(f"{url}x", FORM),
    "for http": lambda url: sign(url.replace("https", "http"), FORM),
    "with another token": lambda url: sign(url, FORM, token="another-token"),
    "of another body": lambda url: sign(url, {**FORM, "CallStatus": "completed"}),
    "of no body": lambda url: sign(url),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_request_without_a_valid_signature_is_refused(web: Web, path: str, wrong: Callable[[str], str]) -> None:
    answer = await web.post(path, FORM, signature=wrong(f"{defaults.PUBLIC_URL}{path}"))
    assert answer.status_code == 403


def setup(call_sid: str, parameters: Mapping[str, Any] | None = None, **changes: Any) -> str:
    """A setup of the call, with the token that its TwiML would carry and other `parameters`."""
    token = {call_token.PARAMETER: call_token.issue(defaults.settings(), call_sid, datetime.now(UTC))}
    call = {"callSid": call_sid, "from": defaults.CALLER, "to": "+1500", "accountSid": defaults.ACCOUNT_SID}
    return json.dumps({"type": "setup", **call, "customParameters": {**token, **(parameters or {})}, **changes})


PROMPT = '{"type": "prompt", "voicePrompt": "Hello", "last": true}'
