"""Build the server, from top to bottom: settings → store → capabilities → brain → channels. Serve and drain it."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import traceback
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from time import monotonic
from types import FrameType
from typing import Any

import httpx2
import structlog
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect

from app import registry
from app.brain import Brain
from app.capability import Capability, Services, Timeouts, run_hooks
from app.channel import Conversations
from app.environment import ToolsError
from app.event_loop import Load, contained_task
from app.limits import MAX_BODY, SERVER_LIMITS
from app.log import configure_logging
from app.runtimes.tools import tool_in, tool_problems
from app.session import Session
from app.settings import Settings
from app.store import Store

log = structlog.get_logger()
LOOK = 0.25  # seconds between two looks at the lag of the event loop
QUIET: Any = {"logs": False, "operation_spans": False}  # its logs quote errors, whose texts may quote the caller


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
    `transport` carries requests to Twilio; None is the network. Raises ToolsError for tools that have no schema.
    """
    settings = settings or registry.ProjectSettings()
    store = store or registry.STORE.build(settings)
    services = Services(settings, store, now, transport, timeouts or Timeouts(), registry.PARTS)
    classes = registry.CAPABILITIES if capabilities is None else capabilities
    services.capabilities = [capability.build(services) for capability in classes]
    runtime = services.runtime = registry.RUNTIME.build(settings, models)
    tools = registry.load_tools() if tools is None else tools
    brain = Brain(runtime, registry.load_prompt(), tools, services, settings.deadline)
    channels = [channel.build(services, brain) for channel in registry.CHANNELS]
    services.channels = channels
    if problems := tool_problems([*tools, *brain.without_own(first_tools(services))]):
        raise ToolsError(problems)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        asyncio.get_running_loop().set_task_factory(contained_task)
        await runtime.warm_up()
        services.filtered("")  # looks for the filters, which the first turn would do
        await run_hooks(services.capabilities, Capability.open, timeout=services.timeouts.startup)
        gc.freeze()  # a full collection walks every imported module, and all calls wait for it
        with watch_event_loop(services.timeouts.blocked, services.load):
            yield
        gc.unfreeze()
        for channel in channels:
            await channel.close()
        await run_hooks(services.capabilities, Capability.close, timeout=services.timeouts.shutdown)
        await runtime.close()
        await store.close()

    app = FastAPI(openapi_url=None, lifespan=lifespan, max_body_size=MAX_BODY, telemetry=QUIET)
    app.state.brain = brain
    app.state.conversations = Conversations(channels, services.capabilities)
    app.add_exception_handler(ClientDisconnect, ignore_disconnect)
    app.add_api_route("/healthz", health)
    for channel in channels:
        channel.connect(app)
    for capability in services.capabilities:
        app.include_router(capability.routes())
    for observer in services.observers:
        observer.observe_app(app)
    return app


def first_tools(services: Services) -> list[Callable[..., Any]]:
    """The tools that capabilities have for a first session. Those that need an open capability are checked later."""
    session = Session("", "+15005550006", "+15005550001", "", services.now)
    found: list[Callable[..., Any]] = []
    for capability in services.capabilities:
        with suppress(Exception):
            found += capability.tools(session)
    return found


@contextmanager
def watch_event_loop(limit: float, load: Load) -> Iterator[None]:
    """Measure its lag, and log what blocks it for `limit` seconds: `time.sleep` in one async tool stalls every call."""
    loop, loop_thread, stopped = asyncio.get_running_loop(), threading.get_ident(), threading.Event()

    def watch() -> None:
        while not stopped.wait(min(limit, LOOK)):
            alive, asked = threading.Event(), monotonic()
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(alive.set)
            if not alive.wait(limit) and not stopped.is_set() and (frame := sys._current_frames().get(loop_thread)):
                stack = [f"{at.filename}:{at.lineno} in {at.name}" for at in traceback.extract_stack(frame)[-8:]]
                log.error("event_loop.blocked", tool=tool_in(frame), seconds=limit, stack=stack)
            while not alive.wait(limit) and not stopped.is_set():
                pass
            load.add(monotonic() - asked)

    threading.Thread(target=watch, name="watch-event-loop", daemon=True).start()
    try:
        yield
    finally:
        stopped.set()


async def health(request: Request) -> JSONResponse:
    """200 while the server takes conversations, 503 while it drains or cannot keep up."""
    conversations: Conversations = request.app.state.conversations
    overloaded = request.app.state.brain.services.load.is_too_high
    status = "draining" if conversations.draining else "overloaded" if overloaded else "ok"
    return JSONResponse({"status": status, "active": conversations.active}, 200 if status == "ok" else 503)


async def ignore_disconnect(request: Request, error: Exception) -> Response:
    """The client closed the connection, or it was closed, before its request was complete."""
    return Response(status_code=400)


class DrainingServer(uvicorn.Server):
    """On SIGTERM, waits up to `drain` seconds for conversations in progress; Uvicorn alone closes every connection.

    Meanwhile `/healthz` answers 503, so that a load balancer sends new calls elsewhere. A second signal stops at once.
    """

    def __init__(self, app: Starlette, settings: Settings) -> None:
        super().__init__(
            uvicorn.Config(
                app, host=settings.host, port=settings.port, log_config=None, access_log=False, **SERVER_LIMITS
            )
        )
        self.conversations = app.state.conversations
        self.drain = settings.drain
        self.draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.conversations.draining:
            super().handle_exit(sig, frame)
        else:
            self.conversations.draining = True
            asyncio.get_running_loop().call_soon_threadsafe(self._start_draining)

    def _start_draining(self) -> None:
        self.draining = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        log.info("server.draining", active=self.conversations.active, seconds=self.drain)
        try:
            async with asyncio.timeout(self.drain):
                while self.conversations.active:
                    await asyncio.sleep(0.1)
        except TimeoutError:
            log.warning("server.cut_off", active=self.conversations.active)
        self.should_exit = True


def serve(settings: Settings, build: Callable[[], Starlette] | None = None) -> None:
    """Serve the app, or what `build` makes of it, until a signal comes.

    Exits with 1 when the port is taken or the app does not start.
    """
    configure_logging(settings.log_level, *registry.LOG_FILTERS, exports=registry.LOG_EXPORTS)
    server = DrainingServer(build() if build else create_app(settings), settings)
    try:
        server.run()
    except SystemExit:  # uvicorn's 3, which it has explained in the log
        sys.exit(1)
