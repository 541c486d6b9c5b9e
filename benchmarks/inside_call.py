"""What Twilio sends of a call, for the scripts that run inside a project."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from app.voice import call_token
from kit import defaults

SETTINGS: Any = defaults.settings()
PROMPT = json.dumps({"type": "prompt", "voicePrompt": "Tell me about delivery.", "lang": "en-US", "last": True})


def connected(address: str) -> connect:
    """The WebSocket of a call, signed."""
    url = f"wss{SETTINGS.public_url.removeprefix('https')}/ws"
    headers = {"X-Twilio-Signature": RequestValidator(defaults.AUTH_TOKEN).compute_signature(url, {})}
    return connect(f"ws://{address}/ws", additional_headers=headers, proxy=None)


async def hear_reply(socket: Any) -> None:
    """Wait for the last token of a reply."""
    while not json.loads(await socket.recv()).get("last"):
        pass


def setup(number: int) -> dict[str, Any]:
    """The first frame of a call."""
    call_sid = f"CA{number:032}"
    return {
        "type": "setup",
        "sessionId": f"VX{number:032}",
        "accountSid": SETTINGS.account_sid,
        "callSid": call_sid,
        "customParameters": {call_token.PARAMETER: call_token.issue(SETTINGS, call_sid, datetime.now(UTC))},
        "from": defaults.CALLER,
        "to": defaults.CALLED,
        "direction": "inbound",
        "callType": "PSTN",
        "callStatus": "IN-PROGRESS",
    }
