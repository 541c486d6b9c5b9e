"""WebSockets that say nothing or too much are closed, and calls go on beside them and beside slow requests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from app.capability import Timeouts
from app.limits import MAX_INCOMPLETE, SERVER_LIMITS
from app.voice.tests.test_security import PROMPT, setup
from kit.caller import Call, calls_of
from kit.voice_fixtures import websocket

SID = "CA" + "c" * 32
SETUP = Timeouts.setup


async def close_code(socket: ClientConnection) -> int | None:
    """The code with which the server closes, or None when it does not."""
    try:
        async with asyncio.timeout(2):
            while True:
                await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 1006
    except TimeoutError:
        return None


JUNK = ["", "hello", "[]", '{"type": "info"}', PROMPT, '{"type": "dtmf", "digit": "1"}', '{"type": "setup"}']


async def test_a_websocket_without_a_setup_is_closed_whatever_else_it_sends(
    address: str, let_time_pass: Callable[[float], Awaitable[None]], logged: Callable[[], str]
) -> None:
    silent, noisy = await websocket(address), await websocket(address)
    for junk in JUNK:
        await noisy.send(junk)
        await let_time_pass(SETUP / len(JUNK))
    await let_time_pass(1)
    assert await close_code(silent) in (1000, 1008)
    assert await close_code(noisy) in (1000, 1008)
    assert "setup did not come in time" in logged()
    assert '"level": "error"' not in logged() and "Traceback" not in logged()


async def test_a_setup_just_in_time_opens_the_call(address: str, advance_clock: Callable[[float], None]) -> None:
    socket = await websocket(address)
    advance_clock(SETUP * 0.8)
    await asyncio.sleep(0.01)
    await socket.send(setup(SID))
    await asyncio.sleep(0.05)
    advance_clock(SETUP)
    await socket.send(PROMPT)
    assert json.loads(await asyncio.wait_for(socket.recv(), 5))["token"] == "Yes."
    await socket.close()


async def test_a_caller_may_be_silent_as_long_as_they_like(call: Call, advance_clock: Callable[[float], None]) -> None:
    for _ in range(5):
        advance_clock(SETUP)
        await asyncio.sleep(0.01)
    assert (await call.says("Hello")).text == "You said something."


@pytest.mark.parametrize("fragments", [1, 40], ids=["one frame", "fragments"])
async def test_a_large_frame_closes_its_connection_alone(call: Call, fragments: int) -> None:
    size = SERVER_LIMITS["ws_max_size"] + 1
    text = json.dumps({"type": "prompt", "voicePrompt": "x" * size, "last": True})
    step = -(-len(text) // fragments)
    parts = [text[start : start + step] for start in range(0, len(text), step)]
    socket = await websocket(call.address)
    await socket.send(setup(SID))
    await socket.send(parts if fragments > 1 else text)
    assert await close_code(socket) == 1009
    assert (await call.says("Hello")).text == "You said something."


async def test_a_large_compressed_frame_is_not_unpacked(call: Call) -> None:
    """A megabyte of one letter is a kilobyte on the wire."""
    socket = await websocket(call.address)
    assert any("deflate" in extension.name for extension in socket.protocol.extensions)
    await socket.send("a" * 2**20)
    assert await close_code(socket) == 1009
    assert (await call.says("Hello")).text == "You said something."


async def test_calls_go_on_beside_slow_connections_and_large_bodies(call: Call) -> None:
    host, port = call.address.split(":")
    writers = []
    for _ in range(MAX_INCOMPLETE + 100):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /twiml HTTP/1.1\r\nHost: agent.example\r\n")
        writers.append(writer)
    sending = asyncio.create_task(large_body(call.address))
    assert (await call.says("Hello")).text == "You said something."
    await call.drops()
    assert (await call.says("Hello")).text == "You said something."
    await call.hangs_up()
    assert b" 413 " in await sending
    assert calls_of(call.app).get(call.sid) is None
    for writer in writers:
        writer.close()


async def large_body(address: str) -> bytes:
    """The status line for a body of 8 MB."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /connect-action HTTP/1.1\r\nHost: agent.example\r\n")
    writer.write(b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8388608\r\n\r\n")
    for _ in range(128):
        writer.write(b"a" * 65536)
        await writer.drain()
    status = await reader.readline()
    writer.close()
    return status
