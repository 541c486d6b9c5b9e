"""Connections, webhooks, clocks and workers that fail during a call, as the table of docs/operate.md says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed

from app.store import InProcess
from app.voice.phrases import phrases
from app.voice.tests.test_security import setup
from kit import twiml
from kit.caller import Call, calls_of
from kit.plugin import Web
from kit.testing import Dial
from kit.voice_fixtures import contents, websocket
from kit.workers import Shared, begin, ended, nothing_ended, turn, worker
from tests.kit.fault_table import ROWS, Row, holds
from tests.kit.voice.test_calls import ENDED, FAILED

__all__ = ["nothing_ended"]  # a fixture

SID = "CA1"


def heard(row: Row, text: str) -> bool:
    """Whether the phrases of the row are in the text."""
    return bool(row.phrases) and all(getattr(phrases, name) in text for name in row.phrases)


async def action(app: object, form: dict[str, str], call_sid: str = SID) -> twiml.Document:
    """The TwiML of /connect-action."""
    transport = httpx2.ASGITransport(app)  # type: ignore[arg-type]
    async with httpx2.AsyncClient(transport=transport, base_url="http://10.0.0.7:8000") as http:
        return twiml.read((await Web(http).post("/connect-action", {"CallSid": call_sid, **form})).text)


async def test_a_websocket_drops(dial: Dial, logged: Callable[[], str]) -> None:
    row = ROWS["the WebSocket drops"]
    call = await dial({"says": "Yes."}, capabilities=[])
    await call.says("I am Ada")
    await call.drops()
    assert heard(row, call.greeting)
    assert (await call.says("Who am I?")).text == "Yes."
    assert "I am Ada" in contents(call.session) and holds(row, logged())


async def test_the_end_is_reported_twice(logged: Callable[[], str]) -> None:
    row, app = ROWS["Twilio reports the end of a call twice"], worker(InProcess())
    await begin(calls_of(app), SID)
    for _ in range(2):
        assert heard(row, (await action(app, ENDED)).said)
    assert len(ended) == 1 and holds(row, logged())


async def test_a_failure_is_reported_after_the_end(logged: Callable[[], str]) -> None:
    row, app = ROWS["Twilio reports a lost connection after the call has ended"], worker(InProcess())
    await begin(calls_of(app), SID)
    await calls_of(app).end(SID)
    assert heard(row, (await action(app, FAILED)).said)
    assert len(ended) == 1 and calls_of(app).get(SID) is None and holds(row, logged())


async def test_a_failure_is_reported_before_it_is_noticed(logged: Callable[[], str]) -> None:
    row, app = ROWS["Twilio reports a lost connection before the server notices it"], worker(InProcess())
    calls = calls_of(app)
    session = await begin(calls, SID)
    await turn(calls, session, "I am Ada")
    relay = (await action(app, FAILED)).relay
    assert relay and heard(row, relay.greeting)
    again = await begin(calls, SID)
    assert again is session and "I am Ada" in contents(again) and holds(row, logged())


async def test_a_captured_setup_is_sent_again(call: Call, logged: Callable[[], str]) -> None:
    row = ROWS["a captured setup is sent again"]
    assert call.relay
    for _ in range(2):
        socket = await websocket(call.address)
        await socket.send(setup(call.sid, call.relay.parameters))
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 10)
    assert (await call.says("Hello")).text == "You said something."
    assert call.app.state.conversations.active == 1 and holds(row, logged())


KILLED: dict[str, type[InProcess]] = {
    "the worker of a call is killed": InProcess,
    "the worker of a call is killed: another one goes on": Shared,
}


@pytest.mark.parametrize("fault", KILLED)
async def test_a_worker_is_killed(logged: Callable[[], str], fault: str) -> None:
    """A killed worker does nothing more: no goodbye, no last save."""
    if fault not in ROWS:
        pytest.skip("the table of this project has the other row")
    row, store = ROWS[fault], KILLED[fault]()
    first, second = worker(store), worker(store if store.shared else KILLED[fault]())
    session = await begin(calls_of(first), SID)
    await turn(calls_of(first), session, "I am Ada")
    await asyncio.gather(*calls_of(first)._saving)
    before = logged()
    document = await action(second, FAILED)
    assert heard(row, document.relay.greeting if document.relay else document.said)
    if document.relay:
        again = await begin(calls_of(second), SID)
        assert "I am Ada" in contents(again)
    assert bool(document.relay) is store.shared and holds(row, logged()[len(before) :])


MALFORMED = ["hello", "[1]", '{"type": "unknown"}', '{"type": "prompt", "voicePrompt": {"a": 1}}', "[" * 50_000]


async def test_a_frame_is_malformed(call: Call, logged: Callable[[], str]) -> None:
    for frame in MALFORMED:
        await call.sends(frame)
    assert (await call.says("Hello")).text == "You said something."
    assert contents(call.session) == [] and holds(ROWS["a frame cannot be read"], logged())


async def test_a_frame_is_oversized(call: Call, logged: Callable[[], str]) -> None:
    socket = await websocket(call.address)
    await socket.send(json.dumps({"type": "prompt", "voicePrompt": "x" * 64 * 1024, "last": True}))
    with pytest.raises(ConnectionClosed) as closed:
        await asyncio.wait_for(socket.recv(), 10)
    assert closed.value.rcvd and closed.value.rcvd.code == 1009
    assert (await call.says("Hello")).text == "You said something."
    assert holds(ROWS["a frame has more than 64 KB"], logged())
