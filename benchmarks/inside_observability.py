"""Runs inside a project that benchmarks/observability.py makes. Prints milliseconds of CPU a turn as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

from fastapi import FastAPI
from inside_turn_cpu import MODEL, SETTINGS, TOOLS, TURNS, setup
from twilio.request_validator import RequestValidator
from websockets.asyncio.client import connect

from app.capability import Services
from app.log import configure_logging
from app.observability import Observability
from app.registry import CAPABILITIES
from kit import defaults
from kit.agent_app import build_app
from kit.local_server import serve

CALLS = 30


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
    url = f"wss{SETTINGS.public_url.removeprefix('https')}/ws"
    headers = {"X-Twilio-Signature": RequestValidator(defaults.AUTH_TOKEN).compute_signature(url, {})}
    prompt = json.dumps({"type": "prompt", "voicePrompt": "Tell me about delivery.", "lang": "en-US", "last": True})
    async with connect(f"ws://{address}/ws", additional_headers=headers, proxy=None) as socket:
        await socket.send(json.dumps(setup(number)))
        for _ in range(TURNS):
            await socket.send(prompt)
            while not json.loads(await socket.recv()).get("last"):
                pass


async def run(side: str, endpoint: str) -> float:
    """From the second call to the end of the server, which exports the rest."""
    async with serve(build(side, endpoint)) as address:
        await call(address, 0)
        started = time.process_time()
        for number in range(1, CALLS + 1):
            await call(address, number)
    return 1000 * (time.process_time() - started) / (CALLS * TURNS)


configure_logging("critical")
print(json.dumps(asyncio.run(run(*sys.argv[1:]))))
