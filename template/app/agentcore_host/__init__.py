"""This project inside Amazon Bedrock AgentCore: the contract of its runtimes around the app as it is.

AgentCore gives each session a microVM of its own and lets nobody in but `lambda_proxy/` (POST /invocations, a webhook
in an envelope) and Twilio, at an address that it has signed (/ws). It passes on no header of Twilio's, so the WebSocket
comes unsigned. This signs it, since the app believes Twilio alone: serve this nowhere else.

Source: https://docs.aws.amazon.com/bedrock-agentcore/latest/devguide/runtime-http-protocol-contract.html
"""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import FastAPI
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from twilio.request_validator import RequestValidator

from app.settings import Settings

log = structlog.get_logger()


class Envelope(BaseModel):
    """A webhook as Twilio sent it. `body` is base64."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: str


class AgentCoreHost(Starlette):
    """`app` behind /ping, /invocations and /ws; it starts and stops with this. /healthz is the app's own."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        webhooks = Webhooks(app)

        async def ping(request: Request) -> JSONResponse:
            """A busy session is not ended for being idle: during a call no request may come."""
            busy = app.state.conversations.active or webhooks.working
            status = "HealthyBusy" if busy else "Healthy"
            return JSONResponse({"status": status, "time_of_last_update": int(time.time())})

        async def invocation(request: Request) -> JSONResponse:
            try:
                envelope = Envelope.model_validate_json(await request.body())
            except ValidationError:
                log.error("envelope.malformed", hint="lambda_proxy/ and this project must be of the same version")
                return JSONResponse({"error": "Not an envelope."}, 400)
            return JSONResponse(await webhooks.answer(envelope))

        @asynccontextmanager
        async def lifespan(host: Starlette) -> AsyncGenerator[None]:
            async with app.router.lifespan_context(app):
                yield

        super().__init__(
            routes=[
                Route("/ping", ping),
                Route("/invocations", invocation, methods=["POST"]),
                Route("/healthz", app),
                WebSocketRoute("/ws", OwnSignature(app, settings)),
            ],
            lifespan=lifespan,
        )
        self.state.conversations = app.state.conversations


class OwnSignature:
    """The WebSocket as Twilio would have signed it for the public URL. The query is that of AWS."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        url = f"wss{settings.public_url.removeprefix('https')}/ws"
        token = settings.auth_token.get_secret_value()
        self.signature = str(RequestValidator(token).compute_signature(url, {})).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in scope["headers"] if header[0] != b"x-twilio-signature"]
        headers.append((b"x-twilio-signature", self.signature))
        await self.app({**scope, "query_string": b"", "headers": headers}, receive, send)


class Webhooks:
    """Hands webhooks to the app in this process. `working` holds those that it still works on."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.working: set[asyncio.Task[None]] = set()

    async def answer(self, envelope: Envelope) -> dict[str, Any]:
        """The answer as soon as it is complete: what the app does afterwards, nobody waits for."""
        messages: asyncio.Queue[Message | None] = asyncio.Queue()
        task = asyncio.create_task(self._run(scope_of(envelope), base64.b64decode(envelope.body), messages))
        self.working.add(task)
        task.add_done_callback(self.working.discard)
        status, content_type, body, more = 500, "text/plain", b"", True
        while more and (message := await messages.get()):
            if message["type"] == "http.response.start":
                status = message["status"]
                content_type = dict(message["headers"]).get(b"content-type", b"text/plain").decode()
            else:
                body += message.get("body", b"")
                more = message.get("more_body", False)
        return {"status": status, "content_type": content_type, "body": base64.b64encode(body).decode()}

    async def _run(self, scope: Scope, body: bytes, messages: asyncio.Queue[Message | None]) -> None:
        request: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return request.pop() if request else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            messages.put_nowait(message)

        try:
            await self.app(scope, receive, send)
        except Exception:
            log.exception("webhook.failed", path=scope["path"])  # the app has answered
        finally:
            messages.put_nowait(None)


def scope_of(envelope: Envelope) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": envelope.method,
        "scheme": "https",
        "path": envelope.path,
        "raw_path": envelope.path.encode(),
        "query_string": envelope.query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in envelope.headers.items()],
        "client": None,
        "server": None,
    }
