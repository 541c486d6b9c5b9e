"""Runs inside a project that benchmarks/fresh_worker.py makes: a fresh worker and its first call. Prints milliseconds
of CPU of each turn as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import time

os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # before TAC reads it

from inside_call import PROMPT, connected, hear_reply, setup
from uvicorn import Server

from agent import tools
from app.log import configure_logging
from kit.agent_app import build_app
from kit.local_server import PromptServer, serve

TURNS = 10
GREETING = 0.3  # seconds until the caller speaks: what a setup starts is no part of a turn


async def call(address: str) -> list[float]:
    """Milliseconds of CPU of each turn, from the caller's words to the last of the agent's."""
    taken = []
    async with connected(address) as socket:
        await socket.send(json.dumps(setup(1)))
        await asyncio.sleep(GREETING)
        for _ in range(TURNS):
            started = time.process_time()
            await socket.send(PROMPT)
            await hear_reply(socket)
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
