"""A call through the Lambda function, AgentCore and the app, and back over the WebSocket."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import boto3
import httpx2
import pytest
from botocore.awsrequest import AWSResponse
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import InvalidStatus

from app.agentcore_host import AgentCoreHost, Envelope, Webhooks
from app.agentcore_host.commands import read_secret
from app.agentcore_host.tests import test_lambda_proxy as proxy
from app.environment import SettingsError
from app.main import create_app
from app.voice.phrases import phrases
from kit import defaults, twiml
from kit.caller import calls_of
from kit.local_server import serve
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from lambda_proxy import handler

CALL = {**proxy.CALL, "From": defaults.CALLER, "To": defaults.CALLED}
SID = CALL["CallSid"]


class AgentCore(proxy.Aws):
    """Passes requests to the host at `address`."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def response(self, url: str, content: Any) -> AWSResponse:
        if "secretsmanager" in url:
            return super().response(url, content)
        answer = httpx2.post(f"http://{self.address}/invocations", json=self.envelopes[-1])
        self.status = answer.status_code
        return super().response(url, answer.content)


class Chain:
    def __init__(self, host: ASGIApp, aws: AgentCore, lines: AsyncExitStack) -> None:
        self.host = host
        self.aws = aws
        self.lines = lines

    async def webhook(self, path: str, **fields: str) -> dict[str, Any]:
        """The function's answer to a signed form. The function blocks, so it runs in a thread."""
        return await asyncio.to_thread(handler.answer, proxy.form(path, {**CALL, **fields}), None)

    async def asks(self, path: str, **fields: str) -> twiml.Document:
        answer = await self.webhook(path, **fields)
        assert answer["headers"]["content-type"].startswith("application/xml")
        return twiml.read(answer["body"])

    async def connects(self, url: str) -> ClientConnection:
        """Connect as Twilio does, through AgentCore, which passes on no header of Twilio."""
        query = urlsplit(url).query
        return await self.lines.enter_async_context(open_websocket(f"ws://{self.aws.address}/ws?{query}", proxy=None))

    async def dials(self) -> Connection:
        document = await self.asks("/twiml", CallStatus="ringing")
        assert document.relay
        line = Connection(await self.connects(document.relay.url))
        await line.sends(
            type="setup",
            sessionId="VX1",
            accountSid=defaults.ACCOUNT_SID,
            callSid=SID,
            **{"from": CALL["From"]},
            to="x",
            customParameters=document.relay.parameters,
        )
        return line


class Connection:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def sends(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def says(self, text: str) -> None:
        await self.sends(type="prompt", voicePrompt=text, lang="en-US", last=True)

    async def frame(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            frame: dict[str, Any] = json.loads(await self.socket.recv())
            return frame

    async def hears(self) -> list[str]:
        """The tokens of a turn."""
        heard = []
        while not (frame := await self.frame()).get("last"):
            heard.append(frame["token"])
        return [*heard, *([frame["token"]] if frame["token"] else [])]


@pytest.fixture
async def chain() -> AsyncGenerator[Chain]:
    rules = [
        {"hears": "count", "says": "One two three four five six seven eight nine ten", "word_delay": 0.3},
        {"hears": "", "says": "It is on its way."},
    ]
    settings = defaults.settings(public_url=proxy.PUBLIC_URL, auth_token=proxy.TOKEN)
    app = create_app(settings, [scripted(*rules)], [], transport=SimulatedAccount().transport)
    host = AgentCoreHost(app, settings)
    async with serve(host) as address, AsyncExitStack() as lines:
        aws = AgentCore(address)
        with proxy.reached(aws):
            yield Chain(host, aws, lines)


async def test_a_call_is_greeted_answered_and_ended(chain: Chain) -> None:
    document = await chain.asks("/twiml", CallStatus="ringing")
    assert document.relay and document.relay.greeting == phrases.GREETING
    assert document.relay.action == f"{proxy.PUBLIC_URL}/connect-action"
    line = await chain.dials()
    await line.says("Where is my order?")
    assert "".join(await line.hears()) == "It is on its way."
    after = await chain.asks("/connect-action", CallStatus="in-progress", SessionStatus="ended")
    assert (after.said, after.verbs) == (phrases.GOODBYE, ["Say", "Hangup"])
    assert set(chain.aws.sessions) == {SID}


async def test_a_repeated_request_for_twiml_is_answered(chain: Chain) -> None:
    document = await chain.asks(f"{handler.TWIML_PATH}?{handler.RETRY_QUERY}", CallStatus="ringing")
    assert document.relay and document.relay.greeting == phrases.GREETING


async def test_tokens_are_sent_as_they_arrive_until_an_interruption(chain: Chain) -> None:
    line = await chain.dials()
    await line.says("Please count.")
    assert [(await line.frame())["token"], (await line.frame())["token"]] == ["One ", "two "]
    await line.sends(type="interrupt", utteranceUntilInterrupt="One two", durationUntilInterruptMs="600")
    await line.says("Where is my order?")
    heard = "".join(await line.hears())
    while "way" not in heard:
        heard = "".join(await line.hears())
    assert heard == "It is on its way."
    session = calls_of(chain.host).get(SID)  # type: ignore[attr-defined]
    assert "One two" in str(session.history) and "three" not in str(session.history)


async def test_a_dropped_connection_resumes_in_the_same_session(chain: Chain) -> None:
    line = await chain.dials()
    await line.says("Where is my order?")
    await line.hears()
    await line.socket.close()
    again = await chain.asks("/connect-action", CallStatus="in-progress", SessionStatus="failed", ErrorCode="64105")
    assert again.relay and again.relay.greeting == phrases.RECONNECTED
    assert f"{handler.SESSION_HEADER}={SID}" in again.relay.url


async def test_a_session_is_busy_during_a_call(chain: Chain) -> None:
    """AgentCore ends an idle session."""
    async with httpx2.AsyncClient(base_url=f"http://{chain.aws.address}") as http:
        assert (await http.get("/ping")).json()["status"] == "Healthy"
        line = await chain.dials()
        await line.says("Hello")
        await line.hears()
        answer = (await http.get("/ping")).json()
        assert answer["status"] == "HealthyBusy" and isinstance(answer["time_of_last_update"], int)
        assert (await http.get("/healthz")).json()["status"] == "ok"


async def test_the_app_still_checks_signatures(chain: Chain) -> None:
    envelope = {"method": "POST", "path": "/twiml", "query": "", "headers": {}, "body": ""}
    async with httpx2.AsyncClient(base_url=f"http://{chain.aws.address}") as http:
        answer = await http.post("/invocations", json=envelope)
        assert answer.json()["status"] == 403
        assert (await http.post("/invocations", json={"prompt": "Hello"})).status_code == 400
        assert (await http.post("/twiml", data=CALL)).status_code == 404  # the app is reached by envelopes alone


async def test_without_this_host_a_websocket_needs_a_signature() -> None:
    """Only this host signs for AgentCore."""
    app = create_app(defaults.settings(), [scripted({"says": "Yes."})], [], transport=SimulatedAccount().transport)
    async with serve(app) as address:
        with pytest.raises(InvalidStatus, match="403"):
            await open_websocket(f"ws://{address}/ws", proxy=None)


async def test_an_unhandled_error_of_the_app_ends_in_an_apology(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*args: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(calls_of(chain.host), "find", broken)  # type: ignore[attr-defined]
    after = await chain.asks("/connect-action", CallStatus="in-progress", SessionStatus="ended")
    assert after.said == phrases.UNAVAILABLE


async def test_background_tasks_of_the_app_do_not_delay_the_answer() -> None:
    done = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["body"] == b"a body"
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        await done.wait()

    webhooks = Webhooks(app)
    body = base64.b64encode(b"a body").decode()
    envelope = Envelope(method="POST", path="/webhooks/taskrouter", query="", headers={}, body=body)
    async with asyncio.timeout(10):
        assert (await webhooks.answer(envelope))["status"] == 204
    assert webhooks.running  # so the session counts as busy
    done.set()
    await asyncio.gather(*webhooks.running)


def test_the_secret_sets_missing_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    aws = proxy.account().aws = proxy.Aws()
    monkeypatch.setattr(boto3, "client", proxy.account().client)
    environment = {"SECRET_ARN": proxy.SECRET, "TWILIO_ACCOUNT_SID": "set already"}
    monkeypatch.setattr(os, "environ", environment)
    read_secret()
    assert environment["TWILIO_AUTH_TOKEN"] == proxy.TOKEN
    assert environment["TWILIO_ACCOUNT_SID"] == "set already"
    aws.secret = "[]"
    with pytest.raises(SettingsError, match="SECRET_ARN cannot be read"):
        read_secret()
