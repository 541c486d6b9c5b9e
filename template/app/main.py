"""The wiring, read from top to bottom: settings → brain → calls → path."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from agent import words
from app.action import say
from app.brain import Brain, own_prompt, own_tools
from app.calls import FAREWELL, Calls
from app.capability import Services, each
from app.features import CAPABILITIES, RUNTIME, STORE, ProjectSettings, connect
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
    calls = Calls(brain, capabilities, store, now)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await runtime.warm()
        await each(capabilities, "open", within=STARTUP)
        yield
        await calls.end_all()
        await each(capabilities, "close", within=FAREWELL)
        await runtime.close()
        await store.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.calls = calls
    app.add_api_route("/healthz", health, methods=["GET"])
    app.add_exception_handler(Exception, speak_of_a_defect)
    for capability in capabilities:
        app.include_router(capability.routes())
    connect(app, settings, calls)
    return app


async def health(request: Request) -> JSONResponse:
    """200 while calls are welcome, 503 while the last ones finish."""
    calls: Calls = request.app.state.calls
    return JSONResponse(
        {"status": "draining" if calls.draining else "ok", "calls": calls.active}, 503 if calls.draining else 200
    )


async def speak_of_a_defect(request: Request, error: Exception) -> Response:
    """A defect in a Twilio route is spoken: an empty 500 would be silence. The server logs the error all the same."""
    return Response(say(words.UNAVAILABLE), media_type="application/xml")
