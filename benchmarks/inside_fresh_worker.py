"""Runs inside a project that benchmarks/fresh_worker.py makes: a fresh worker and its first call. Prints milliseconds
of CPU of each turn as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import UTC, datetime
from typing import Any

os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # before TAC reads it

from twilio.request_validator import RequestValidator
from uvicorn import Server
from websockets.asyncio.client import connect

from agent import tools
from app.log import configure_logging
from app.voice import call_token
from kit import defaults
from kit.agent_app import build_app
from kit.local_server import PromptServer, serve

TURNS = 10
GREETING = 0.3  # seconds until the caller speaks: what a setup starts is no part of a turn
SETTINGS: Any = defaults.settings()


def setup() -> dict[str, Any]:
    """The first frame of a call."""
    call_sid = f"CA{1:032}"
    return {
        "type": "setup",
        "sessionId": f"VX{1:032}",
        "accountSid": SETTINGS.account_sid,
        "callSid": call_sid,
        "customParameters": {call_token.PARAMETER: call_token.issue(SETTINGS, call_sid, datetime.now(UTC))},
        "from": defaults.CALLER,
        "to": defaults.CALLED,
        "direction": "inbound",
        "callType": "PSTN",
        "callStatus": "IN-PROGRESS",
    }


async def call(address: str) -> list[float]:
    """Milliseconds of CPU of each turn, from the caller's words to the last of the agent's."""
    url = f"wss{SETTINGS.public_url.removeprefix('https')}/ws"
    headers = {"X-Twilio-Signature": RequestValidator(defaults.AUTH_TOKEN).compute_signature(url, {})}
    prompt = json.dumps({"type": "prompt", "voicePrompt": "Tell me about delivery.", "lang": "en-US", "last": True})
    taken = []
    async with connect(f"ws://{address}/ws", additional_headers=headers, proxy=None) as socket:
        await socket.send(json.dumps(setup()))
        await asyncio.sleep(GREETING)
        for _ in range(TURNS):
            started = time.process_time()
            await socket.send(prompt)
            while not json.loads(await socket.recv()).get("last"):
                pass
            taken.append(1000 * (time.process_time() - started))
    return taken


async def run() -> list[float]:
    app = build_app({"says": "Standard delivery takes three days and is free."}, tools=[tools.order_status])
    PromptServer.main_loop = Server.main_loop  # type: ignore[method-assign]  # the other one looks around every 2 ms
    async with serve(app) as address:
        return await call(address)


if __name__ == "__main__":
    configure_logging("critical")
    print(json.dumps(asyncio.run(run())))
