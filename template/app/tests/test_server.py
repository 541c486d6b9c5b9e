"""The server: scenarios, health, shutdown, settings, and what is not shown or logged: API, numbers, words, secrets."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TextIO

import httpx2
import pytest
from typer.testing import CliRunner

from app import config
from app.capability import Capability
from app.environment import SettingsError, load
from app.main import DrainingServer, create_app, serve
from app.registry import ProjectSettings
from app.settings import Settings
from kit import cli, defaults
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.conventions import scenario_files
from kit.local_server import PromptServer
from kit.plugin import Begin, Web
from kit.scenario import play
from kit.scenario_file import load as load_scenario
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: f"{path.parents[1].name}-{path.stem}")
async def test_scenario_of_the_server(path: Path) -> None:
    assert load_scenario(path).given.tools == "sample"  # agent/tools.py may have others
    assert (await play(path)).failures == []


async def health(address: str) -> tuple[int, Any]:
    async with httpx2.AsyncClient(verify=False) as http:
        answer = await http.get(f"http://{address}/healthz")
    return answer.status_code, answer.json()


class Server(PromptServer, DrainingServer):
    """The server of `agent serve`, without Uvicorn's waits."""


@asynccontextmanager
async def serving(
    *rules: dict[str, Any],
    account: SimulatedAccount | None = None,
    capabilities: Sequence[type[Capability]] | None = None,
    **settings: Any,
) -> AsyncGenerator[tuple[DrainingServer, str]]:
    """The server of `agent serve`, in this process. Signals that it passes on are ignored."""
    settings = {"host": "127.0.0.1", "port": 0, **settings}
    app = build_app(*rules, account=account, capabilities=capabilities, **settings)
    server = Server(app, defaults.settings(**settings))
    before = {sig: signal.signal(sig, lambda *_: None) for sig in (signal.SIGTERM, signal.SIGINT)}
    task = asyncio.create_task(server.serve())
    try:
        await wait_until(lambda: server.started or task.done(), "the server did not start")
        host, port = server.servers[0].sockets[0].getsockname()
        yield server, f"{host}:{port}"
        async with asyncio.timeout(30):
            await task
    finally:
        task.cancel()
        await asyncio.wait([task])
        for sig, handler in before.items():
            signal.signal(sig, handler)


async def stopping(server: DrainingServer) -> bool:
    """True when the server stops."""
    await wait_until(lambda: server.should_exit, "the server did not stop")
    return True


PROCESS = """
import json, sys

seen = []

def watch(event, args):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.send", "subprocess.", "os.system")):
        seen.append(event)
    elif event == "open" and (str(args[1] or "")[:1] in "wax" or str(args[0]).endswith((".env", "prompt.md"))):
        seen.append(f"{event} {args[0]}")

sys.addaudithook(watch)
import app.main
print(json.dumps(seen), flush=True)

from kit import defaults
from kit.agent_app import build_app

app.main.serve(defaults.settings(host="127.0.0.1", port=0, log_level="info"), build_app)
"""


@pytest.mark.process(PROCESS)
async def test_a_process_does_nothing_at_import_serves_and_stops_at_a_signal(process: subprocess.Popen[str]) -> None:
    assert process.stdout and process.stdout.readline() == "[]\n"  # no connection, no file read or written
    address = await asyncio.to_thread(address_of, process.stdout)
    assert await health(address) == (200, {"status": "ok", "active": 0})
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 20) == 0


def address_of(log: TextIO) -> str:
    """Host and port of the server, from its log."""
    for line in log:
        if found := re.search(r"running on http://([\d.:]+)", line):
            return found[1]
    raise AssertionError("the server did not start")


def test_a_port_that_is_taken_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.main.configure_logging", lambda level: None)
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SystemExit) as exit:
        serve(defaults.settings(host="127.0.0.1", port=taken.getsockname()[1], model="test", fallback_model="test"))
    assert exit.value.code == 1


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_the_api_description_is_not_served(web: Web, path: str) -> None:
    assert (await web.http.get(path)).status_code == 404


# --- settings ---------------------------------------------------------------------------------------------------------

KEYS = [name for names, _ in config.MODEL_KEYS.values() for name in names]
SHAPED = {
    "AZURE_OPENAI_ENDPOINT": "https://example.openai.azure.com",
    "AZURE_TOKEN_CREDENTIALS": "prod",
    "AZURE_VOICE_LIVE_ENDPOINT": "https://example.services.ai.azure.com",
    "FOUNDRY_PROJECT_ENDPOINT": "https://example.services.ai.azure.com/api/projects/one",
}
"""Variables of models that are no secrets, with values of the right form."""
FIELDS = {str(field.alias): field for field in ProjectSettings.model_fields.values()}
VALID = {
    **{name: str(field.examples[0]) for name, field in FIELDS.items() if field.is_required() and field.examples},
    **{name: SHAPED.get(name, "a-key") for name in KEYS},
    "AGENT_MODEL": "test",
    "AGENT_FALLBACK_MODEL": "test",
}


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No variable and no .env of the machine that runs the tests."""
    for name in (*FIELDS, *KEYS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


@pytest.fixture
def valid(nothing_set: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A complete environment; the test changes it."""
    for name, value in VALID.items():
        nothing_set.setenv(name, value)
    return nothing_set


def test_names_and_variables_of_settings_are_unique() -> None:
    """Each part brings settings of its own: two of one name, or of one variable, would be one."""
    parts = [part for part in ProjectSettings.__mro__ if issubclass(part, Settings)]
    named = [name for part in parts for name in inspect.get_annotations(part) if name in part.model_fields]
    assert sorted(named) == sorted(ProjectSettings.model_fields)
    assert len(FIELDS) == len(named)


def problems() -> list[str]:
    with pytest.raises(SettingsError) as error:
        load()
    return error.value.problems


def test_a_complete_environment_is_accepted(valid: pytest.MonkeyPatch) -> None:
    settings = load()
    assert (settings.account_sid, settings.public_url) == (defaults.ACCOUNT_SID, defaults.PUBLIC_URL)
    assert settings.auth_token.get_secret_value() == defaults.AUTH_TOKEN


@pytest.mark.usefixtures("nothing_set")
def test_every_missing_variable_is_named_at_once_with_its_fix() -> None:
    missing = [problem.split()[0] for problem in problems()]
    needed = [name for name in KEYS if name in str(missing)]
    assert missing == [*(name for name, field in FIELDS.items() if field.is_required()), *needed]
    assert set(needed) == set(KEYS)
    for problem in problems():
        assert re.fullmatch(r"[A-Z_]+ is missing\. [A-Z].{20,}\.?", problem)


MALFORMED = {  # a blank value is a missing one
    "TWILIO_ACCOUNT_SID": ["", "SK" + "0" * 32, "AC123", "AC" + "G" * 32],
    "TWILIO_AUTH_TOKEN": [""],
    "PUBLIC_URL": ["", "http://agent.example", "agent.example", "https://agent.example/", "https://agent.example?a=b"],
    "AGENT_DEADLINE": ["0", "-1", "soon", "31"],
    "AGENT_DRAIN": ["-1", "later"],
    "PORT": ["http", "70000", "-1"],
    "LOG_LEVEL": ["verbose", "INFO?"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in MALFORMED.items() for value in values])
def test_a_malformed_value_is_named_and_shown(valid: pytest.MonkeyPatch, name: str, value: str) -> None:
    valid.setenv(name, value)
    (problem,) = problems()
    assert problem.startswith(f"{name} is {repr(value) if value else 'missing'}. ")


@pytest.mark.parametrize("name", sorted(set(FIELDS) - set(VALID)))
def test_a_blank_optional_value_is_the_default(valid: pytest.MonkeyPatch, name: str) -> None:
    valid.setenv(name, "")
    field = next(field for field in ProjectSettings.model_fields if ProjectSettings.model_fields[field].alias == name)
    assert getattr(load(), field) == ProjectSettings.model_fields[field].default


def test_neither_settings_nor_their_errors_show_secrets(valid: pytest.MonkeyPatch) -> None:
    assert defaults.AUTH_TOKEN not in repr(load()) + str(load())
    for name in set(KEYS) - set(SHAPED):
        valid.setenv(name, "a-key-that-is-secret")
    valid.setenv("PUBLIC_URL", "nonsense")
    valid.setenv("TWILIO_ACCOUNT_SID", "wrong")
    with pytest.raises(SettingsError) as error:
        load()
    shown = "\n".join((*error.value.problems, str(error.value), repr(error.value)))
    assert defaults.AUTH_TOKEN not in shown and "a-key-that-is-secret" not in shown


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of the servers that `agent serve` starts; none of them runs."""
    started: list[Settings] = []
    monkeypatch.setattr("app.main.serve", started.append)
    return started


def test_serve_prints_every_problem_and_starts_nothing(valid: pytest.MonkeyPatch, started: list[Settings]) -> None:
    valid.delenv("TWILIO_AUTH_TOKEN")
    valid.setenv("PORT", "http")
    result = CliRunner().invoke(cli.app, ["serve"])
    assert (result.exit_code, started) == (2, [])
    assert "TWILIO_AUTH_TOKEN is missing" in result.stderr and "PORT is 'http'" in result.stderr
    assert "Nothing was started" in result.stderr


def test_serve_starts_with_the_environment_and_the_env_file(
    valid: pytest.MonkeyPatch, started: list[Settings], tmp_path: Path
) -> None:
    valid.setattr("os.environ", dict(os.environ))  # what the file sets must not outlive the test
    valid.setenv("PORT", "8123")
    valid.delenv("PUBLIC_URL")
    (tmp_path / ".env").write_text("PUBLIC_URL=https://from.file\nTWILIO_ACCOUNT_SID=lost\n")
    assert CliRunner().invoke(cli.app, ["serve"]).exit_code == 0
    (settings,) = started
    expected = (8123, "https://from.file", defaults.ACCOUNT_SID)
    assert (settings.port, settings.public_url, settings.account_sid) == expected


@pytest.mark.usefixtures("nothing_set")
def test_settings_are_not_needed_to_build_the_app_with_others() -> None:
    create_app(defaults.settings(), [scripted({"says": "Yes."})], [], transport=SimulatedAccount().transport)


# --- the log --------------------------------------------------------------------------------------------------------


async def test_neither_phone_numbers_nor_words_are_logged(begin: Begin, logged: Callable[[], str]) -> None:
    def look_up(order: str) -> str:
        """Look something up."""
        return "the parcel is in Timbuktu"

    talk = await begin(
        {"hears": "pineapple", "says": "Rhubarb it is."},
        {"hears": "order", "calls": {"look_up": {"order": "marzipan"}}},
        {"hears": "broken", "says": "Sauerkraut", "breaks_off": True},
        tools=[look_up],
    )
    for text in ("pineapple please", "my order, from +1 500 555 0006", "it is broken"):
        await talk.says(text)
    await talk.ends()
    log = logged()
    assert "model.failed" in log
    numbers = ("5550006", "555 0006", "5550001")  # not fewer digits: a time may have four of them
    for secret in ("pineapple", "Rhubarb", "marzipan", "Timbuktu", "Sauerkraut", *numbers, defaults.AUTH_TOKEN):
        assert secret not in log
