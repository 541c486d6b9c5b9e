"""The pytest plugin of the project: tests talk to the real app over loopback, and no test may leave the machine."""

from __future__ import annotations

import os

os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # before TAC reads it
os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = ""
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # no credentials of AWS, not even those of an EC2 machine
os.environ["AZURE_CONFIG_DIR"] = os.devnull  # no credentials of Azure
os.environ["AZURE_TOKEN_CREDENTIALS"] = os.environ["AZURE_CLIENT_ID"] = os.environ["AZURE_FEDERATED_TOKEN_FILE"] = ""
os.environ["IDENTITY_ENDPOINT"] = ""

import asyncio
import io
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from math import ceil
from pathlib import Path
from typing import Any

import httpx2
import pytest
import structlog
from fastapi import FastAPI

from app import config
from app.event_loop import SLICE
from app.log import configure_logging
from app.registry import ProjectSettings
from app.session import Session
from kit import defaults
from kit.agent_app import Start, build_app
from kit.conventions import drivers
from kit.driver import Driver, Reply
from kit.local_server import serve
from kit.network_guard import offline
from kit.scenario import history_text, last_instructions
from kit.scenario_file import Given, Step
from kit.texter import Texter, texter
from kit.virtual_time import VirtualTimeLoop
from kit.webhook import sign

for _field in ProjectSettings.model_fields.values():  # tests have settings of their own, not those of the shell
    os.environ.pop(str(_field.alias), None)
pytest_plugins = ["kit.voice_fixtures", "kit.testing"]


def silence_logs() -> None:
    """Log nothing below critical."""
    structlog.reset_defaults()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


silence_logs()


@pytest.fixture(autouse=True)
def network_blocked() -> Iterator[list[str]]:
    """Fail a test that tries to leave the machine, even if the code swallows the error."""
    with offline() as refused:
        yield refused
    assert refused == []


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """The log of the project and its libraries so far, at `LOG_LEVEL=debug`."""
    log = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", log)
        configure_logging("debug")
    yield lambda: "".join([log.getvalue(), *capsys.readouterr()])
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    silence_logs()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The simulator's settings as environment variables, without a model key. A command may set up the log."""
    for field in ProjectSettings.model_fields.values():
        if field.alias and field.examples:
            monkeypatch.setenv(field.alias, str(field.examples[0]))
    for names, _ in config.MODEL_KEYS.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    yield monkeypatch
    silence_logs()


class Talk:
    """A conversation with the app over one of its channels."""

    def __init__(self, app: FastAPI, driver: Driver) -> None:
        self.app = app
        self.driver = driver
        self.party = driver.party
        self.apology: str = driver.phrases.APOLOGY

    async def says(self, text: str) -> Reply:
        """Say or write `text`, and wait for the whole reply."""
        return await self.driver.takes(Step(caller=text))

    async def ends(self) -> None:
        await self.driver.ends()

    async def session(self) -> Session:
        return await self.driver.session()

    async def instructions(self) -> str:
        """The instructions of the model's last request."""
        return last_instructions(await self.session())

    async def history_text(self) -> str:
        """The text of both sides in the history that the model gets with the next turn, in lower case."""
        return history_text(await self.session())


Begin = Start[Talk]
Reach = Start[Texter]


@pytest.fixture(params=list(drivers()))
async def begin(request: pytest.FixtureRequest) -> AsyncGenerator[Begin]:
    """Begin a conversation with an agent whose model follows `rules`; the test runs once for each channel.

    `options` are those of `kit.agent_app.build_app`, as `tools=` and `capabilities=`.
    """
    async with AsyncExitStack() as talks:

        async def start(*rules: dict[str, Any], **options: Any) -> Talk:
            app = build_app(*rules, **options)
            address = await talks.enter_async_context(serve(app))
            driver = drivers()[request.param].begins(app, address, Given(), app.state.account, 1000.0, False)
            return Talk(app, await talks.enter_async_context(driver))

        yield start


@pytest.fixture
async def talk(begin: Begin) -> Talk:
    """A conversation with an agent that has one reply."""
    return await begin({"hears": "", "says": "You said something."})


@pytest.fixture
async def reach() -> AsyncGenerator[Reach]:
    """Begin a text conversation with an agent whose model follows `rules`. `options` are those of `build_app`."""
    async with AsyncExitStack() as stack:

        async def begin(
            *rules: dict[str, Any], author: str = defaults.CALLER, channel: str = "SMS", **options: Any
        ) -> Texter:
            app = build_app(*rules, **options)
            return await stack.enter_async_context(texter(app, app.state.account, author=author, channel=channel))

        yield begin


class Web:
    """Webhooks to the app, also those that Twilio would never send."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def post(
        self,
        path: str,
        form: Mapping[str, str],
        *,
        signature: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """POST a form. `signature` replaces Twilio's; an empty one sends no signature."""
        signature = sign(f"{defaults.PUBLIC_URL}{path}", form) if signature is None else signature
        signature_header = {"X-Twilio-Signature": signature} if signature else {}
        return await self.http.post(path, data=dict(form), headers={**signature_header, **(headers or {})})


def yes_app() -> FastAPI:
    """An app whose model says yes to every text."""
    return build_app()


@pytest.fixture
async def web() -> AsyncGenerator[Web]:
    """The app without a server: webhooks need none."""
    transport = httpx2.ASGITransport(yes_app(), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://10.0.0.7:8000") as http:
        yield Web(http)


@pytest.fixture
async def address() -> AsyncGenerator[str]:
    """Host and port of a served app whose model says yes to every text."""
    async with serve(yes_app()) as address:
        yield address


@pytest.fixture
async def advance_clock() -> Callable[[float], None]:
    """Advance the clock of the event loop by some seconds: timers that end by then are due at once. Sockets work."""
    loop: Any = asyncio.get_running_loop()
    time, ahead = loop.time, [0.0]
    loop.time = lambda: time() + sum(ahead)  # never restored: the timers of this event loop depend on it
    return ahead.append


@pytest.fixture
async def let_time_pass(advance_clock: Callable[[float], None]) -> Callable[[float], Awaitable[None]]:
    """Advance that clock a slice at a time, with the loop awake in between: a `Deadline` does not count a jump."""

    async def wait(seconds: float) -> None:
        for _ in range(ceil(seconds / SLICE)):
            advance_clock(SLICE)
            await asyncio.sleep(0)  # now the timers of this slice are due
            await asyncio.sleep(0)  # now they have run

    return wait


# --- markers --------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "process(script): the Python script that the fixture `process` runs")
    config.addinivalue_line("markers", "virtual_time: an async test whose clock jumps to the next timer; no sockets")


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"loop": VirtualTimeLoop if item.get_closest_marker("virtual_time") else asyncio.new_event_loop}


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A new interpreter with an empty environment that runs the script of the test's marker, for a minute at most."""
    started = subprocess.Popen(
        [sys.executable, "-B", "-c", request.node.get_closest_marker("process").args[0]],
        cwd=Path(__file__).parents[1],
        env={name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    watchdog = threading.Timer(60, started.kill)  # ends a read of its output that would wait for ever
    watchdog.start()
    yield started
    watchdog.cancel()
    started.kill()
    started.communicate()
