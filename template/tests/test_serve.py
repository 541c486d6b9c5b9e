"""A server that is told to stop finishes its calls first."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from app.main import create_app
from ops.serve import DrainingServer, serve
from sim import world
from sim.call import caller_on
from sim.features import Cloud
from sim.model import scripted

STORY = {"hears": "story", "says": "Once upon a time there was a very long story.", "word_delay": 0.02}
RULES = [STORY, {"hears": "", "says": "Yes."}]

PROCESS = f"""
from app.main import create_app
from ops.log import configure_logging
from ops.serve import DrainingServer
from sim import world
from sim.features import Cloud
from sim.model import scripted

configure_logging("info")
settings = world.settings(host="127.0.0.1", port=0, drain=20)
DrainingServer(create_app(settings, [scripted(*{RULES!r})], [], transport=Cloud().transport), settings).run()
"""


async def health(address: str) -> tuple[int, Any]:
    async with httpx2.AsyncClient(verify=False) as http:
        answer = await http.get(f"http://{address}/healthz")
    return answer.status_code, answer.json()


@asynccontextmanager
async def serving(**settings: Any) -> AsyncGenerator[tuple[DrainingServer, str]]:
    """The server of `agent serve`, in this process. Signals that it passes on reach nobody."""
    chosen = world.settings(host="127.0.0.1", port=0, **settings)
    server = DrainingServer(create_app(chosen, [scripted(*RULES)], [], transport=Cloud().transport), chosen)
    before = {sig: signal.signal(sig, lambda *_: None) for sig in (signal.SIGTERM, signal.SIGINT)}
    task = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.005)
        host, port = server.servers[0].sockets[0].getsockname()
        yield server, f"{host}:{port}"
        async with asyncio.timeout(2):
            await task
    finally:
        task.cancel()
        await asyncio.wait([task])
        for sig, handler in before.items():
            signal.signal(sig, handler)


async def stopping(server: DrainingServer) -> bool:
    """Whether the server stops within a moment."""
    for _ in range(100):
        if server.should_exit:
            return True
        await asyncio.sleep(0.005)
    return False


async def test_health_tells_calls_and_draining() -> None:
    async with serving() as (server, address):
        assert await health(address) == (200, {"status": "ok", "calls": 0})
        async with caller_on(server.config.app, address):
            assert await health(address) == (200, {"status": "ok", "calls": 1})
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0.01)
            assert await health(address) == (503, {"status": "draining", "calls": 1})


async def test_a_server_without_calls_stops_at_once() -> None:
    async with serving() as (server, _):
        signal.raise_signal(signal.SIGTERM)
        assert await stopping(server)


async def test_a_call_in_progress_goes_on_while_the_server_drains() -> None:
    async with serving() as (server, address), caller_on(server.config.app, address) as call:
        await call.begins("Tell me a story")
        await call.hears("Once")
        signal.raise_signal(signal.SIGTERM)
        assert (await call.hears_out(call.turns[0])).text == STORY["says"]
        assert (await call.says("And now?")).text == "Yes."
        await call.hangs_up()
        assert await stopping(server)


async def test_calls_that_do_not_end_in_time_are_cut_off() -> None:
    async with serving(drain=0.1) as (server, address), caller_on(server.config.app, address):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.05)
        assert not server.should_exit
        assert await stopping(server)


async def test_a_second_signal_stops_at_once() -> None:
    async with serving() as (server, address), caller_on(server.config.app, address):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.01)
        assert not server.should_exit
        signal.raise_signal(signal.SIGTERM)
        assert server.should_exit


def test_a_port_that_is_taken_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ops.serve.configure_logging", lambda level: None)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as exit:
        serve(world.settings(host="127.0.0.1", port=taken.getsockname()[1], model="test", fallback_model="test"))
    assert exit.value.code == 1


@pytest.mark.process(PROCESS)
async def test_a_process_that_is_told_to_stop_ends_with_its_last_call(process: subprocess.Popen[str]) -> None:
    address = await asyncio.to_thread(address_of, process)
    app: Any = SimpleNamespace(state=SimpleNamespace(calls=SimpleNamespace(get=lambda sid: SimpleNamespace(turn=None))))
    async with caller_on(app, address) as call:
        await call.begins("Tell me a story")
        await call.hears("Once")
        process.send_signal(signal.SIGTERM)
        assert (await call.hears_out(call.turns[0])).text == STORY["says"]
        assert (await health(address))[0] == 503
        await call.hangs_up()
    assert await asyncio.to_thread(process.wait, 20) == 0


def address_of(process: subprocess.Popen[str]) -> str:
    """Where the process listens, according to its log."""
    assert process.stdout
    for line in process.stdout:
        if found := re.search(r"running on http://([\d.:]+)", line):
            return found[1]
    raise AssertionError("the server did not start")
