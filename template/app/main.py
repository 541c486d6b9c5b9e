"""The wiring, read from top to bottom: settings → capabilities → brain → conversations → the way they come in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app.brain import Brain, own_prompt, own_tools
from app.capability import FAREWELL, Services, each
from app.features import CAPABILITIES, RUNTIME, STORE, Conversations, ProjectSettings, answer_a_defect, connect
from app.settings import Settings
from app.store import Store

STARTUP = 30.0  # seconds that a capability may take to open what it needs


def create_app(
    settings: Settings | None = None,
    models: Sequence[Any] | None = None,
    tools: Sequence[Callable[..., Any]] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    store: Store | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Build the agent. Nothing is read, connected or checked before this is called.

    `models` replace those of the settings; `tools` replace those of `agent/tools.py`.
    `transport` carries what the capabilities ask Twilio; without one, the network does.
    """
    settings = settings or ProjectSettings()
    store = store or STORE.build(settings)
    services = Services(settings, store, now, transport)
    capabilities = services.capabilities = [capability.build(services) for capability in CAPABILITIES]
    runtime = RUNTIME.build(settings, models)
    brain = Brain(
        runtime=runtime,
        prompt=own_prompt(),
        tools=own_tools() if tools is None else tools,
        capabilities=capabilities,
        deadline=settings.deadline,
    )
    for capability in capabilities:
        capability.answered_by(brain)
    conversations = Conversations(brain, capabilities, store, now)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await runtime.warm()
        await each(capabilities, "open", within=STARTUP)
        yield
        await conversations.end_all()
        await each(capabilities, "close", within=FAREWELL)
        await runtime.close()
        await store.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.conversations = conversations
    app.add_api_route("/healthz", health, methods=["GET"])
    app.add_exception_handler(Exception, answer_a_defect)
    for capability in capabilities:
        app.include_router(capability.routes())
    connect(app, settings, conversations)
    return app


async def health(request: Request) -> JSONResponse:
    """200 while people are welcome, 503 while the last conversations finish."""
    conversations: Conversations = request.app.state.conversations
    status = "draining" if conversations.draining else "ok"
    return JSONResponse({"status": status, "active": conversations.active}, 503 if conversations.draining else 200)
