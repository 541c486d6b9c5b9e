"""The server inside Amazon Bedrock AgentCore (`python -m app host`): its HTTP contract, around the app as it is.

AgentCore runs each session in its own microVM. Requests come from `lambda_proxy/` only (POST /invocations, a webhook in
an envelope), and WebSockets from Twilio, at a presigned URL (/ws). AgentCore forwards no header of Twilio's, so the
WebSocket arrives without a signature. This host adds it, since the app requires one: never serve it anywhere else.

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
from starlette.middleware import Middleware
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from twilio.request_validator import RequestValidator

from app.capability import Background
from app.limits import MAX_BODY
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
    """`app` behind /ping, /invocations and /ws. It starts and stops with this host; /healthz is the app's own."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        self.app = app
        self.webhooks = Webhooks(app)
        super().__init__(
            routes=[
                Route("/ping", self.ping),
                Route("/invocations", self.invocation, methods=["POST"]),
                Route("/healthz", app),
                WebSocketRoute("/ws", SignedWebSocket(app, settings)),
            ],
            middleware=[Middleware(RequestBodyLimitMiddleware, max_body_size=2 * MAX_BODY)],  # in base64
            lifespan=self.run_app,
        )
        self.state.conversations = app.state.conversations

    async def ping(self, request: Request) -> JSONResponse:
        """Busy during a call, or AgentCore would end the session as idle: a call may bring no request for long."""
        busy = self.state.conversations.active or self.webhooks.running
        return JSONResponse({"status": "HealthyBusy" if busy else "Healthy", "time_of_last_update": int(time.time())})

    async def invocation(self, request: Request) -> JSONResponse:
        try:
            envelope = Envelope.model_validate_json(await request.body())
        except ValidationError:
            log.error("envelope.malformed", hint="lambda_proxy/ and this project must be of the same version")
            return JSONResponse({"error": "Not an envelope."}, 400)
        return JSONResponse(await self.webhooks.answer(envelope))

    @asynccontextmanager
    async def run_app(self, host: Starlette) -> AsyncGenerator[None]:
        async with self.app.router.lifespan_context(self.app):
            yield


class SignedWebSocket:
    """Adds the signature that Twilio would send for the public URL, and drops the query, which AWS has signed."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        url = f"wss{settings.public_url.removeprefix('https')}/ws"
        token = settings.auth_token.get_secret_value()
        self.signature = str(RequestValidator(token).compute_signature(url, {})).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [header for header in scope["headers"] if header[0] != b"x-twilio-signature"]
        headers.append((b"x-twilio-signature", self.signature))
        scope.update(query_string=b"", headers=headers)  # in place: Uvicorn logs the query of this scope
        await self.app(scope, receive, send)


class Webhooks:
    """Passes webhooks to the app in this process. `running` are the requests that the app has not finished."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.running = Background()

    async def answer(self, envelope: Envelope) -> dict[str, Any]:
        """Status, content type and body (base64), as soon as the body is complete. Background tasks run on."""
        messages: asyncio.Queue[Message | None] = asyncio.Queue()
        self.running.start(self._run(scope_of(envelope), base64.b64decode(envelope.body), messages))
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
            log.exception("webhook.failed", path=scope["path"])  # the app has sent its answer
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
