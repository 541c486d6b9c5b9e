"""A WebSocket opens a call with the token of its TwiML only, and the token stays between Twilio and the server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed

from app import this_session
from app.capability import Timeouts
from app.session import dump_session
from app.store import InProcess
from kit import defaults, twiml
from kit.agent_app import build_app
from kit.caller import Call, calls_of
from kit.local_server import serve
from kit.plugin import Web
from kit.scenario import last_instructions
from kit.testing import Dial
from kit.voice_fixtures import websocket

VICTIM = "+15005550009"
SID = "CA" + "a" * 32
PROMPT = '{"type": "prompt", "voicePrompt": "Hello", "last": true}'
FAILED = {"CallStatus": "in-progress", "SessionStatus": "failed", "ErrorCode": "64105"}


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def passes(self, **time: float) -> None:
        self.now += timedelta(**time)


class Shared(InProcess):
    """One store for the workers of a test."""

    shared = True


class Worker:
    """A served app, and setups sent to it."""

    def __init__(self, app: FastAPI, address: str) -> None:
        self.app = app
        self.address = address

    async def parameters(self, path: str = "/twiml", call_sid: str = SID, **form: str) -> dict[str, str]:
        """The parameters in the TwiML of a call."""
        async with httpx2.AsyncClient(base_url=f"http://{self.address}", verify=False) as http:
            answer = await Web(http).post(path, {"CallSid": call_sid, "From": defaults.CALLER, **form})
        relay = twiml.read(answer.text).relay
        assert relay
        return relay.parameters

    async def opens(self, parameters: Any, call_sid: str = SID, caller: str = VICTIM) -> bool:
        """True when a setup opens the call. The connection is closed without a hang-up."""
        socket = await websocket(self.address)
        call = {"callSid": call_sid, "accountSid": defaults.ACCOUNT_SID, "from": caller, "to": defaults.CALLED}
        await socket.send(json.dumps({"type": "setup", **call, "customParameters": parameters}))
        await socket.send(PROMPT)
        try:
            async with asyncio.timeout(10):
                await socket.recv()
        except ConnectionClosed:
            return False
        await socket.close()
        return True


class Workers:
    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.clock = Clock()

    async def __call__(self, **options: Any) -> Worker:
        app = build_app(now=self.clock, capabilities=[], timeouts=Timeouts(setup=1.0), **options)
        return Worker(app, await self.stack.enter_async_context(serve(app)))


@pytest.fixture
async def workers() -> AsyncGenerator[Workers]:
    async with AsyncExitStack() as stack:
        yield Workers(stack)


# --- what opens no call -------------------------------------------------------------------------------------------


def changed(change: Callable[[str], Any]) -> Callable[[Mapping[str, str]], Any]:
    return lambda parameters: {name: change(value) for name, value in parameters.items()}


FORGED: dict[str, Callable[[Mapping[str, str]], Any]] = {
    "no parameters": lambda parameters: {},
    "null": lambda parameters: None,
    "a list": lambda parameters: list(parameters),
    "text": lambda parameters: "callToken",
    "another parameter": lambda parameters: {"email": "ada@example.com"},
    "an empty token": changed(lambda token: ""),
    "a number": changed(lambda token: 7),
    "an object": changed(lambda token: {"token": token}),
    "only the time": changed(lambda token: token.partition(".")[0]),
    "only the code": changed(lambda token: token.partition(".")[2]),
    "another time": changed(lambda token: f"1{token}"),
    "a shortened code": changed(lambda token: token[:-1]),
    "a lengthened code": changed(lambda token: f"{token}0"),
    "a changed code": changed(lambda token: token[:-1] + ("0" if token[-1] != "0" else "1")),
    "in upper case": changed(lambda token: token.upper()),
    "thousands of digits": changed(lambda token: "1" * 5000 + "." + token.partition(".")[2]),
    "half a surrogate pair": changed(lambda token: f"\ud800{token[:-1]}"),
    "letters of another script": changed(lambda token: token.replace("1", "١").replace("0", "٠")),
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
async def test_a_captured_header_opens_no_call(
    workers: Workers, logged: Callable[[], str], forge: Callable[[Mapping[str, str]], Any]
) -> None:
    worker = await workers()
    parameters = await worker.parameters()
    assert not await worker.opens(forge(parameters))
    assert calls_of(worker.app).get(SID) is None
    assert await worker.opens(parameters), "the forged setup has used the token up"
    assert '"level": "error"' not in logged() and "Traceback" not in logged()


async def test_a_token_belongs_to_one_call_and_one_auth_token(workers: Workers) -> None:
    worker, other = await workers(), await workers(auth_token="another-auth-token")
    assert not await worker.opens(await worker.parameters(), call_sid="CA" + "b" * 32)
    settings = calls_of(other.app).services.settings
    assert settings.auth_token != calls_of(worker.app).services.settings.auth_token
    forged = changed(lambda _: calls_of(other.app).token(SID))
    assert not await worker.opens(forged(await worker.parameters()))


async def test_a_setup_that_is_sent_again_opens_nothing(workers: Workers) -> None:
    """While the call is served, after its end, and when the store has forgotten it."""
    worker = await workers()
    parameters = await worker.parameters()
    first = await websocket(worker.address)
    call = {"callSid": SID, "accountSid": defaults.ACCOUNT_SID, "from": defaults.CALLER, "to": defaults.CALLED}
    await first.send(json.dumps({"type": "setup", **call, "customParameters": parameters}))
    await first.send(PROMPT)
    assert "Yes" in str(await asyncio.wait_for(first.recv(), 10))
    assert not await worker.opens(parameters)
    await first.close()
    await calls_of(worker.app).end(SID)
    assert not await worker.opens(parameters)
    workers.clock.passes(hours=5)
    for generation in ("", ":2"):
        await calls_of(worker.app).store.release(f"session:{SID}{generation}")
    assert not await worker.opens(parameters)


async def test_a_token_opens_a_new_call_for_five_minutes(workers: Workers) -> None:
    worker = await workers()
    parameters = await worker.parameters()
    workers.clock.passes(minutes=4)
    assert await worker.opens(parameters)
    other = await worker.parameters(call_sid="CA" + "b" * 32)
    workers.clock.passes(minutes=6)
    assert not await worker.opens(other, call_sid="CA" + "b" * 32)


# --- what a call may do as long as it lasts -----------------------------------------------------------------------


async def test_the_token_is_valid_until_the_call_ends(workers: Workers) -> None:
    worker = await workers()
    parameters = await worker.parameters()
    for _ in range(3):
        assert await worker.opens(parameters)
        await asyncio.sleep(0.05)  # the server notices the disconnect
        workers.clock.passes(hours=1)
    await calls_of(worker.app).end(SID)
    assert not await worker.opens(parameters)


async def test_the_twiml_of_a_reconnect_has_a_token(workers: Workers) -> None:
    worker = await workers()
    assert await worker.opens(await worker.parameters())
    workers.clock.passes(hours=1)
    assert await worker.opens(await worker.parameters("/connect-action", **FAILED))
    assert calls_of(worker.app).get(SID).caller == VICTIM, "a call that comes back keeps its caller"


async def test_another_worker_takes_the_token_and_refuses_it_after_the_end(workers: Workers) -> None:
    store = Shared()
    here, elsewhere = await workers(store=store), await workers(store=store)
    parameters = await here.parameters()
    assert await elsewhere.opens(parameters)
    assert await here.opens(await elsewhere.parameters("/connect-action", **FAILED))
    workers.clock.passes(hours=1)
    await calls_of(here.app).end(SID)
    assert not await elsewhere.opens(parameters)
    assert not await here.opens(parameters)


async def test_a_call_drops_and_comes_back_through_the_simulated_caller(call: Call) -> None:
    await call.says("Hello")
    await call.drops()
    assert (await call.says("Hello")).text == "You said something."


# --- who sees it --------------------------------------------------------------------------------------------------


async def test_the_token_reaches_neither_session_model_tools_nor_log(dial: Dial, logged: Callable[[], str]) -> None:
    seen: list[Mapping[str, str]] = []

    def look() -> str:
        """Look."""
        seen.append(dict(this_session().parameters))
        return "seen"

    call = await dial({"calls": {"look": {}}}, tools=[look])
    assert call.relay
    (token,) = call.relay.parameters.values()
    await call.says("Hello")
    assert seen == [{}] and call.session.parameters == {}
    kept = json.dumps(dump_session(call.session), default=str)
    await call.drops()
    await call.says("Hello again")
    await call.hangs_up()
    code = token.partition(".")[2]
    assert len(code) == 64
    assert code not in kept + last_instructions(call.session) + str(call.session.history) + logged()


async def test_two_calls_have_two_tokens(workers: Workers) -> None:
    worker = await workers()
    tokens = [await worker.parameters(call_sid=f"CA{uuid4().hex}") for _ in range(3)]
    assert len({*map(str, tokens)}) == 3 and all(len(token) == 1 for token in tokens)
