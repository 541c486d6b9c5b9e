"""A server that is told to stop finishes its calls first."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from app.tests.test_serve import health, serving, stopping
from kit.caller import caller_on

STORY = {"hears": "story", "says": "Once upon a time there was a very long story.", "word_delay": 0.02}


RULES = [STORY, {"hears": "", "says": "Yes."}]


PROCESS = f"""
from app.main import create_app
from app.log import configure_logging
from app.serve import DrainingServer
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount
from kit.scripted_model import scripted
from app.tests.test_serve import health, serving, stopping

configure_logging("info")
settings = defaults.settings(host="127.0.0.1", port=0, drain=20)
DrainingServer(create_app(settings, [scripted(*{RULES!r})], [], transport=SimulatedAccount().transport), settings).run()
"""


async def test_health_tells_calls_and_draining() -> None:
    async with serving(*RULES) as (server, address):
        assert await health(address) == (200, {"status": "ok", "active": 0})
        async with caller_on(server.config.app, address):
            assert await health(address) == (200, {"status": "ok", "active": 1})
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0.01)
            assert await health(address) == (503, {"status": "draining", "active": 1})


async def test_a_call_in_progress_goes_on_while_the_server_drains() -> None:
    async with serving(*RULES) as (server, address), caller_on(server.config.app, address) as call:
        await call.begins("Tell me a story")
        await call.hears("Once")
        signal.raise_signal(signal.SIGTERM)
        assert (await call.hears_out(call.turns[0])).text == STORY["says"]
        assert (await call.says("And now?")).text == "Yes."
        await call.hangs_up()
        assert await stopping(server)


async def test_calls_that_do_not_end_in_time_are_cut_off() -> None:
    async with serving(*RULES, drain=0.1) as (server, address), caller_on(server.config.app, address):
        signal.raise_signal(signal.SIGTERM)
        await asyncio.sleep(0.05)
        assert not server.should_exit
        assert await stopping(server)


async def test_a_second_signal_stops_at_once() -> None:
    async with serving(*RULES) as (server, address):
        stops = []
        with suppress(httpx2.TransportError):  # the caller, who hangs up where nobody listens any more
            async with caller_on(server.config.app, address):
                for _ in range(2):
                    signal.raise_signal(signal.SIGTERM)
                    await asyncio.sleep(0.01)
                    stops.append(server.should_exit)
        assert stops == [False, True]


@pytest.mark.process(PROCESS)
async def test_a_process_that_is_told_to_stop_ends_with_its_last_call(process: subprocess.Popen[str]) -> None:
    address = await asyncio.to_thread(address_of, process)
    calls = SimpleNamespace(get=lambda sid: SimpleNamespace(turn=None))
    app: Any = SimpleNamespace(
        state=SimpleNamespace(conversations=SimpleNamespace(channel=lambda name: SimpleNamespace(calls=calls)))
    )
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
