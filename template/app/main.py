"""The wiring, top to bottom: settings → store → capabilities → brain → channels."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import httpx2
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from app import registry
from app.brain import Brain
from app.capability import Capability, Services, Timeouts, run_hooks
from app.channel import Conversations
from app.loader import load_prompt, load_tools
from app.settings import Settings
from app.store import Store


def create_app(
    settings: Settings | None = None,
    models: Sequence[Any] | None = None,
    tools: Sequence[Callable[..., Any]] | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    store: Store | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
    capabilities: Sequence[type[Capability]] | None = None,
    timeouts: Timeouts | None = None,
) -> FastAPI:
    """Build the server. Nothing is read, connected or checked before this is called.

    `models` replace those of the settings, `tools` those of `agent/tools.py`, `capabilities` those of the registry.
    `transport` carries requests to Twilio; None is the network.
    """
    settings = settings or registry.ProjectSettings()
    store = store or registry.STORE.build(settings)
    services = Services(settings, store, now, transport, timeouts or Timeouts(), registry.PARTS)
    wanted = registry.CAPABILITIES if capabilities is None else capabilities
    services.capabilities = [capability.build(services) for capability in wanted]
    runtime = registry.RUNTIME.build(settings, models)
    brain = Brain(runtime, load_prompt(), load_tools() if tools is None else tools, services, settings.deadline)
    channels = [channel.build(services, brain) for channel in registry.CHANNELS]
    services.channels = channels

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await runtime.warm_up()
        await run_hooks(services.capabilities, Capability.open, timeout=services.timeouts.startup)
        yield
        for channel in channels:
            await channel.close()
        await run_hooks(services.capabilities, Capability.close, timeout=services.timeouts.shutdown)
        await runtime.close()
        await store.close()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.brain = brain
    app.state.conversations = Conversations(channels, services.capabilities)
    app.add_api_route("/healthz", health, methods=["GET"])
    for channel in channels:
        channel.connect(app)
    for capability in services.capabilities:
        app.include_router(capability.routes())
    return app


async def health(request: Request) -> JSONResponse:
    """200 while the server takes conversations, 503 while it drains."""
    conversations: Conversations = request.app.state.conversations
    status = "draining" if conversations.draining else "ok"
    return JSONResponse({"status": status, "active": conversations.active}, 503 if conversations.draining else 200)
