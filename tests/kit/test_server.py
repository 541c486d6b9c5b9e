"""The server: its start, its end at a signal, and what is not shown or logged: API, numbers, words, secrets."""

from __future__ import annotations

import asyncio
import gc
import re
import signal
import socket
import subprocess
from collections.abc import Callable
from typing import TextIO

import pytest

from app.main import serve
from kit import defaults
from kit.agent_app import build_app
from kit.plugin import Web
from kit.server_fixtures import health
from kit.testing import Begin

PROCESS = """
import json, sys

seen = []

def watch(event, args):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.send", "subprocess.", "os.system")):
        seen.append(event)
    elif event == "open" and (str(args[1] or "")[:1] in "wax" or str(args[0]).endswith((".env", "prompt.md"))):
        seen.append(f"{event} {args[0]}")

sys.addaudithook(watch)
import app.main
print(json.dumps(seen), flush=True)

from kit import defaults
from kit.agent_app import build_app

app.main.serve(defaults.settings(host="127.0.0.1", port=0, log_level="info"), build_app)
"""


@pytest.mark.process(PROCESS)
async def test_a_process_does_nothing_at_import_serves_and_stops_at_a_signal(process: subprocess.Popen[str]) -> None:
    assert process.stdout and process.stdout.readline() == "[]\n"  # no connection, no file read or written
    address = await asyncio.to_thread(address_of, process.stdout)
    assert await health(address) == (200, {"status": "ok", "active": 0})
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 20) == 0
    assert "/healthz" not in process.stdout.read(), "requests are not logged"


def address_of(log: TextIO) -> str:
    """Host and port of the server, from its log."""
    for line in log:
        if found := re.search(r"running on http://([\d.:]+)", line):
            return found[1]
    raise AssertionError("the server did not start")


def test_a_port_that_is_taken_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.configure_logging", lambda *_, **__: None)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as exit:
        serve(defaults.settings(host="127.0.0.1", port=taken.getsockname()[1], model="test", fallback_model="test"))
    assert exit.value.code == 1


async def test_a_full_garbage_collection_walks_nothing_that_was_there_at_start() -> None:
    app = build_app({"says": "Yes."})
    async with app.router.lifespan_context(app):
        assert gc.get_freeze_count() > 10_000
        assert not any(each is app for each in gc.get_objects())
    assert gc.get_freeze_count() == 0


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_the_api_description_is_not_served(web: Web, path: str) -> None:
    assert (await web.http.get(path)).status_code == 404


# --- the log --------------------------------------------------------------------------------------------------------


async def test_neither_phone_numbers_nor_words_are_logged(begin: Begin, logged: Callable[[], str]) -> None:
    def look_up(order: str) -> str:
        """Look something up."""
        return "the parcel is in Timbuktu"

    talk = await begin(
        {"hears": "pineapple", "says": "Rhubarb it is."},
        {"hears": "order", "calls": {"look_up": {"order": "marzipan"}}},
        {"hears": "broken", "says": "Sauerkraut", "breaks_off": True},
        tools=[look_up],
    )
    for text in ("pineapple please", "my order, from +1 500 555 0006", "it is broken"):
        await talk.says(text)
    await talk.ends()
    log = logged()
    assert "model.failed" in log
    numbers = ("5550006", "555 0006", "5550001")  # not fewer digits: a time may have four of them
    for secret in ("pineapple", "Rhubarb", "marzipan", "Timbuktu", "Sauerkraut", *numbers, defaults.AUTH_TOKEN):
        assert secret not in log
