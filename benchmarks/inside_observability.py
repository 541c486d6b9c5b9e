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
from typing import Any

from fastapi import FastAPI
from inside_call import PROMPT, connected, hear_reply, setup

from agent import tools
from app.capability import Services
from app.log import configure_logging
from app.observability import Observability
from app.registry import CAPABILITIES
from kit.agent_app import build_app
from kit.local_server import serve

TURNS = 8  # of each call: a history that grows costs every side the same
MODEL = {"hears": "", "says": "Standard delivery takes three days and is free."}
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
    async with connected(address) as socket:
        await socket.send(json.dumps(setup(number)))
        for _ in range(TURNS):
            await socket.send(PROMPT)
            await hear_reply(socket)


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
