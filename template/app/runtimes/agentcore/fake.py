"""Amazon Bedrock AgentCore on this machine: the real `agent_runtime/` behind a front door like that of AgentCore.

Only the model is scripted. The server signs with test keys; the front door checks the signature and the session id.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

import boto3
from bedrock_agentcore.runtime import AgentCoreRuntimeClient
from pydantic_ai.models.function import FunctionModel
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.asyncio.client import ClientConnection

from agent_runtime.main import create_app
from app.runtimes.agentcore import AgentCoreSettings, DeployedRuntime
from app.runtimes.aws import scripted_strands as strands
from kit.local_server import serve

ARN = AgentCoreSettings.model_fields["agent_arn"].examples[0]  # type: ignore[index]
MAX_FRAME = 32 * 1024  # bytes that a frame of the WebSocket may have
count = itertools.count()


@cache
def signing_client() -> AgentCoreRuntimeClient:
    keys = boto3.Session(aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="a-test-secret")
    return AgentCoreRuntimeClient(ARN.split(":")[3], session=keys)


class FrontDoor:
    """Passes valid requests to a runtime. It refuses the protocols in `closed`: "websocket", "http"."""

    def __init__(self, runtime: ASGIApp) -> None:
        self.runtime = runtime
        self.closed: set[str] = set()
        self.sessions: list[str] = []  # ids of the accepted requests, in order

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        kind = scope["type"]
        if kind in self.closed or not is_valid(headers) or not scope["path"].startswith("/runtimes/arn:"):
            if kind == "websocket":
                await send({"type": "websocket.close"})  # the handshake is answered with 403
                return
            await send({"type": "http.response.start", "status": 403, "headers": []})
            await send({"type": "http.response.body", "body": b"{}"})
            return
        self.sessions.append(dict(headers)["x-amzn-bedrock-agentcore-runtime-session-id"])
        path = "/ws" if kind == "websocket" else "/invocations"
        await self.runtime({**scope, "path": path, "raw_path": path.encode()}, receive, send)


def is_valid(headers: list[tuple[str, str]]) -> bool:
    """Whether a request is signed, names a session of 33 characters or more, and has no header twice."""
    given = dict(headers)
    signed = given.get("authorization", "").startswith("AWS4-HMAC-SHA256 ") and "x-amz-date" in given
    session = given.get("x-amzn-bedrock-agentcore-runtime-session-id", "")
    return signed and 33 <= len(session) <= 256 and max(Counter(name for name, _ in headers).values()) == 1


class ScriptedRuntime(DeployedRuntime):
    """A runtime on a port of this machine, which opens with the first request."""

    def __init__(self, runtime: ASGIApp, deadline: float = 5.0) -> None:
        super().__init__(f"{ARN}{next(count)}", deadline)
        self.front_door = FrontDoor(runtime)
        self.sockets: list[ClientConnection] = []  # opened, in order
        self._serving = AsyncExitStack()
        self._starting: asyncio.Task[str] | None = None

    @property
    def client(self) -> AgentCoreRuntimeClient:
        return signing_client()

    async def start(self) -> str:
        """The address, host and port."""
        if self._starting is None:
            serving = serve(self.front_door, lifespan="off", ws_max_size=(None, MAX_FRAME))
            self._starting = asyncio.create_task(self._serving.enter_async_context(serving))
        return await asyncio.shield(self._starting)

    async def connect(self, url: str, headers: Mapping[str, str]) -> ClientConnection:
        path = url.removeprefix("wss://").partition("/")[2]
        self.sockets.append(await super().connect(f"ws://{await self.start()}/{path}", headers))
        return self.sockets[-1]

    async def close(self) -> None:
        if self._starting:
            await self._starting
        await self._serving.aclose()

    def http(self) -> Any:
        assert self._starting  # the WebSocket was tried first
        address = f"http://{self._starting.result()}"
        return self.client.session.client("bedrock-agentcore", region_name=self.client.region, endpoint_url=address)


def build_model(model: FunctionModel) -> ScriptedRuntime:
    """A script as a model of this runtime."""
    return ScriptedRuntime(create_app(strands.build_model(model)))
