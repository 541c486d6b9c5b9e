"""Runs inside a project that benchmarks/fresh_worker.py makes: a fresh worker and its first call. Prints milliseconds
of CPU of each turn as JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # before TAC reads it

from inside_call import PROMPT, connected, hear_reply, setup
from uvicorn import Server

from agent import tools
from app.log import configure_logging
from kit.agent_app import build_app
from kit.local_server import PromptServer, serve

TURNS = 10
GREETING = 0.3  # seconds until the caller speaks: what a setup starts is no part of a turn


def start_service(runtime: Any) -> Callable[[], float]:
    """Start the simulated service of a runtime that has one, in a thread of its own: a real one is another machine.

    Returns the clock of the server's CPU.
    """
    services = {"AgentCore": lambda: runtime.runtimes[0].start(), "VoiceLive": lambda: runtime.models[0].address()}
    start = services.get(type(runtime).__name__)
    if start is None:
        return time.process_time
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    asyncio.run_coroutine_threadsafe(start(), loop).result()
    return time.thread_time


async def call(address: str, clock: Callable[[], float]) -> list[float]:
    """Milliseconds of CPU of each turn, from the caller's words to the last of the agent's."""
    taken = []
    async with connected(address) as socket:
        await socket.send(json.dumps(setup(1)))
        await asyncio.sleep(GREETING)
        for _ in range(TURNS):
            started = clock()
            await socket.send(PROMPT)
            await hear_reply(socket)
            taken.append(1000 * (clock() - started))
    return taken


async def run() -> None:
    app = build_app({"says": "Standard delivery takes three days and is free."}, tools=[tools.order_status])
    PromptServer.main_loop = Server.main_loop  # type: ignore[method-assign]  # the other one looks around every 2 ms
    clock = start_service(app.state.brain.runtime)
    async with serve(app) as address:
        print(json.dumps(await call(address, clock)))
        sys.stdout.flush()
        os._exit(0)  # a service in a thread cannot be closed from here


if __name__ == "__main__":
    configure_logging("critical")
    asyncio.run(run())
