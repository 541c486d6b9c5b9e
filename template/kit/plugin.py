"""Every test talks to the real app over loopback; a guard proves that nothing leaves the machine."""

from __future__ import annotations

import os

os.environ["TAC_ANALYTICS_DISABLED"] = "true"  # before TAC reads it
os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = ""
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"  # nobody's account of AWS is used, neither here nor on a machine there
os.environ["AZURE_CONFIG_DIR"] = os.devnull  # nor is anybody of Azure
os.environ["AZURE_TOKEN_CREDENTIALS"] = os.environ["AZURE_CLIENT_ID"] = os.environ["AZURE_FEDERATED_TOKEN_FILE"] = ""
os.environ["IDENTITY_ENDPOINT"] = ""

import io
import logging
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import httpx2
import pytest
import structlog
from fastapi import FastAPI
from twilio.request_validator import RequestValidator

from app import config
from app.log import configure_logging
from app.registry import ProjectSettings
from app.session import Session
from kit import defaults
from kit.agent_app import build_app
from kit.driver import Driver, Reply
from kit.local_server import serve
from kit.network_guard import offline
from kit.scenario import DRIVERS, Given, Step, instructions, remembered
from kit.simulated_twilio.account import SimulatedAccount

# Fixtures of their own: what this project can be reached by.
pytest_plugins = ["kit.voice_fixtures", "kit.text_fixtures"]


def quiet() -> None:
    structlog.reset_defaults()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


quiet()


@pytest.fixture(autouse=True)
def network_blocked() -> Iterator[list[str]]:
    """Fail a test that tries to leave the machine, even if the code swallows the error."""
    with offline() as refused:
        yield refused
    assert refused == []


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """What the project and its libraries have written so far, at `LOG_LEVEL=debug`."""
    log = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", log)
        configure_logging("debug")
    yield lambda: "".join([log.getvalue(), *capsys.readouterr()])
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    quiet()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The settings that the simulator takes, as an environment. It has no key of a model."""
    for field in ProjectSettings.model_fields.values():
        if field.alias and field.examples:
            monkeypatch.setenv(field.alias, str(field.examples[0]))
    for names, _ in config.MODEL_KEYS.values():
        for name in names:
            monkeypatch.delenv(name, raising=False)
    return monkeypatch


class Talk:
    """A conversation with the app, by whatever channel: what it does is what a scenario can do."""

    def __init__(self, app: FastAPI, player: Driver) -> None:
        self.app = app
        self.player = player
        self.somebody = player.somebody
        self.apology: str = player.phrases.APOLOGY

    async def says(self, text: str) -> Reply:
        """Say or write something, and wait for the whole answer."""
        return await self.player.takes(Step(caller=text))

    async def ends(self) -> None:
        await self.player.ends()

    async def session(self) -> Session:
        return await self.player.session()

    async def told(self) -> str:
        """What the model was told before its last answer, beside the conversation."""
        return instructions(await self.session())

    async def heard(self) -> str:
        """What the model would be told of the conversation, in lower case."""
        return remembered(await self.session())


class Begin(Protocol):
    async def __call__(
        self, *rules: dict[str, Any], account: SimulatedAccount | None = None, **options: Any
    ) -> Talk: ...


@pytest.fixture(params=DRIVERS)
async def begin(request: pytest.FixtureRequest) -> AsyncGenerator[Begin]:
    """Talk to an agent whose model follows `rules`, by each channel; `options` are those of `build_app`."""
    async with AsyncExitStack() as talks:

        async def start(*rules: dict[str, Any], account: SimulatedAccount | None = None, **options: Any) -> Talk:
            account = account or SimulatedAccount()
            app = build_app(*rules, account=account, **options)
            address = await talks.enter_async_context(serve(app))
            talking = DRIVERS[request.param].begins(app, address, Given(), account, 1000.0, False)
            return Talk(app, await talks.enter_async_context(talking))

        yield start


@pytest.fixture
async def talk(begin: Begin) -> Talk:
    """A conversation with an agent that always says the same."""
    return await begin({"hears": "", "says": "You said something."})


def sign(url: str, form: Mapping[str, str] | None = None, token: str = defaults.AUTH_TOKEN) -> str:
    """The signature that Twilio would send."""
    return str(RequestValidator(token).compute_signature(url, dict(form or {})))


class Web:
    """The app as webhooks see it, also those that Twilio would never send."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def post(
        self,
        path: str,
        form: Mapping[str, str],
        *,
        signed: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx2.Response:
        """POST a form, with Twilio's signature unless `signed` says otherwise; an empty one is left out."""
        signature = sign(f"{defaults.PUBLIC_URL}{path}", form) if signed is None else signed
        signature_header = {"X-Twilio-Signature": signature} if signature else {}
        return await self.http.post(path, data=dict(form), headers={**signature_header, **(headers or {})})


def yes() -> FastAPI:
    """An app whose model says yes to everything."""
    return build_app()


@pytest.fixture
async def web() -> AsyncGenerator[Web]:
    """The app without a server, which is all that a webhook needs."""
    transport = httpx2.ASGITransport(yes(), raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://10.0.0.7:8000") as http:
        yield Web(http)


@pytest.fixture
async def address() -> AsyncGenerator[str]:
    """Where an app is being served that says yes to everything."""
    async with serve(yes()) as address:
        yield address


# --- processes of their own ------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "process(script): what the process of this test runs")


@pytest.fixture
def process(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A new interpreter with an empty environment, which runs the script of the test's marker."""
    started = subprocess.Popen(
        [sys.executable, "-B", "-c", request.node.get_closest_marker("process").args[0]],
        cwd=Path(__file__).parents[1],
        env={name: os.environ[name] for name in ("SYSTEMROOT",) if name in os.environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    yield started
    started.kill()
    started.communicate()
