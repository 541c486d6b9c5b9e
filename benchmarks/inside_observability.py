"""Runs inside a project that benchmarks/observability.py makes: a call for each line of the standard input.

Prints the CPU of this process since the line before, as milliseconds a turn.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from agent import tools
from app.capability import Services
from app.log import configure_logging
from app.observability import Observability
from app.registry import CAPABILITIES
from app.voice import call_token
from kit import defaults
from kit.agent_app import build_app
from kit.local_server import serve

TURNS = 8  # of each call: a history that grows costs every side the same
MODEL = {"hears": "", "says": "Standard delivery takes three days and is free."}
SETTINGS: Any = defaults.settings()
TOOLS: Sequence[Callable[..., Any]] = [tools.order_status]


def build(side: str, endpoint: str) -> FastAPI:
    if side in ("full", "ratio"):
        return build_app(MODEL, tools=TOOLS, otlp_endpoint=endpoint)
    if side == "bare":
        unobserved: Any = Services
        unobserved.observed = lambda self, hop, session, work: work
        unobserved.observed_tokens = lambda self, hop, session, tokens: tokens
    others = [capability for capability in CAPABILITIES if not issubclass(capability, Observability)]
    return build_app(MODEL, tools=TOOLS, capabilities=others)


async def call(address: str, number: int) -> None:
    """A caller who only counts."""
    url = f"wss{SETTINGS.public_url.removeprefix('https')}/ws"
    headers = {"X-Twilio-Signature": RequestValidator(defaults.AUTH_TOKEN).compute_signature(url, {})}
    prompt = json.dumps({"type": "prompt", "voicePrompt": "Tell me about delivery.", "lang": "en-US", "last": True})
    async with connect(f"ws://{address}/ws", additional_headers=headers, proxy=None) as socket:
        await socket.send(json.dumps(setup(number)))
        for _ in range(TURNS):
            await socket.send(prompt)
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


async def run(side: str, endpoint: str) -> None:
    numbers = itertools.count()
    async with serve(build(side, endpoint)) as address:
        await call(address, next(numbers))
        spent = time.process_time()
        print("ready", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            await call(address, next(numbers))
            before, spent = spent, time.process_time()
            print(1000 * (spent - before) / TURNS, flush=True)


configure_logging("critical")
asyncio.run(run(*sys.argv[1:]))
