"""The command `agent`."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from app import config
from app.__main__ import app as server
from app.registry import modules
from kit import cli, start_pytest
from kit.conventions import command, commands
from kit.plugin import silence_logs
from kit.selftest import MANY

KEYS = [name for names, _ in config.MODEL_KEYS.values() for name in names]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key and no .env of the machine, and speech at 10,000 characters a second; the log is reset afterwards."""
    for name in (*KEYS, "AGENT_MODEL", "AGENT_FALLBACK_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kit.scripted_model.WORD_DELAY", 0.001)
    monkeypatch.setattr("kit.speech_clock.CHARACTERS_PER_SECOND", 10_000.0)
    yield
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    silence_logs()


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli.app, list(arguments), input=typed)


# --- agent scenario ------------------------------------------------------------------------------------------------

GOOD = "model: [{says: Indeed.}]\nturns: [{caller: Hello, expect: {contains: indeed}}]\n"
BAD = "model: [{says: No.}]\nturns: [{caller: Hello, expect: {contains: indeed}}]\n"


@pytest.fixture
def scenarios(tmp_path: Path) -> Path:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    (folder / "good.yml").write_text(GOOD)
    return folder


def test_scenarios_as_expected_exit_with_0(scenarios: Path) -> None:
    result = run("scenario")
    assert result.exit_code == 0
    assert "ok   good" in result.output and "1 of 1 as expected, answered by the scripts." in result.output


def test_a_failed_expectation_exits_with_1(scenarios: Path) -> None:
    (scenarios / "bad.yml").write_text(BAD)
    result = run("scenario")
    assert result.exit_code == 1
    assert "FAIL bad" in result.output and re.search("'indeed' is missing in '.*No.'", result.output)
    assert "1 of 2 as expected" in result.output


def test_a_wrong_file_exits_with_2_and_nothing_is_played(scenarios: Path) -> None:
    (scenarios / "wrong.yml").write_text("turns: [{callr: Hello}]\n")
    result = run("scenario")
    assert result.exit_code == 2
    assert "wrong.yml:1: turns.0.callr: there is no such field; did you mean caller?" in result.stderr
    assert "good" not in result.stdout


@pytest.mark.parametrize("arguments", [["nothing.yml"], ["scenarios"], []])
def test_a_missing_file_exits_with_2(arguments: list[str]) -> None:
    result = run("scenario", *arguments)
    assert result.exit_code == 2
    assert result.stderr


def test_only_the_named_files_are_played(scenarios: Path, tmp_path: Path) -> None:
    (scenarios / "bad.yml").write_text(BAD)
    assert "1 of 1 as expected" in run("scenario", "scenarios/good.yml").output


def test_repeating_gives_rates(scenarios: Path) -> None:
    assert "good: 3 of 3 (100%)" in run("scenario", "--repeat", "3").output


def test_results_are_written_as_junit(scenarios: Path, tmp_path: Path) -> None:
    (scenarios / "bad.yml").write_text(BAD)
    run("scenario", "--junit", "results.xml")
    suite = ElementTree.parse(tmp_path / "results.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")


def test_watching_shows_the_conversation(scenarios: Path) -> None:
    output = run("scenario", "--watch").output
    assert "  Hello" in output and re.search("agent  .*Indeed.", output)


def test_the_real_model_is_not_asked_without_its_key(scenarios: Path) -> None:
    result = run("scenario", "--model")
    assert result.exit_code == 2
    assert KEYS[0] in result.stderr


def test_without_files_the_scenarios_of_the_server_are_named(scenarios: Path) -> None:
    assert "The scenarios of the server: agent scenario app" in run("scenario").output
    assert "agent scenario app" not in run("scenario", "scenarios").output


def test_a_folder_is_every_scenario_below_it(scenarios: Path, tmp_path: Path) -> None:
    deep = tmp_path / "server" / "one" / "scenarios"
    deep.mkdir(parents=True)
    (deep / "bad.yml").write_text(BAD)
    (deep.parent / "other.yml").write_text("no scenario")
    assert "0 of 1 as expected" in run("scenario", "server").output


# --- agent selftest ------------------------------------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that `agent selftest` starts. They exit with 5."""
    found: list[list[str]] = []

    def run(command: list[str], check: bool) -> subprocess.CompletedProcess[str]:
        found.append(command)
        return subprocess.CompletedProcess(command, 5)

    monkeypatch.setattr("kit.selftest.subprocess.run", run)
    (tmp_path / "app" / "voice").mkdir(parents=True)
    needs(tmp_path, "pytest>=9")
    return found


def needs(folder: Path, requirement: str) -> None:
    """Let the tests of app/ need this package."""
    text = f"[project.optional-dependencies]\nselftest = ['{requirement}']\n"
    (folder / "app" / "pyproject.toml").write_text(text)


PARALLEL = ["-n", "auto", "--maxprocesses", "4"]


@pytest.mark.parametrize(("files", "options"), [(MANY - 1, []), (MANY, PARALLEL)])
def test_many_tests_of_the_server_run_in_parallel(started: list[list[str]], files: int, options: list[str]) -> None:
    for number in range(files):
        Path(f"app/voice/test_{number}.py").touch()
    assert run("selftest").exit_code == 5
    run("selftest", "app/voice")
    run("selftest", "app/voice/test_1.py::test_one")
    command = [sys.executable, "-m", "pytest"]
    assert started == [
        [*command, *options, "app"],
        [*command, *options, "app/voice"],
        [*command, "app/voice/test_1.py::test_one"],
    ]


@pytest.mark.parametrize("requirement", ["no-such-package", "pytest<1"])
def test_missing_packages_are_installed_by_uv(started: list[list[str]], requirement: str) -> None:
    needs(Path(), requirement)
    run("selftest")
    assert started == [["uv", "run", "--group", "selftest", "python", "-m", "pytest", "app"]]


def test_further_arguments_go_to_pytest(started: list[list[str]]) -> None:
    run("selftest", "-x", "-k", "greeting")
    run("selftest", "app/voice", "-x")
    assert [command[3:] for command in started] == [["app", "-x", "-k", "greeting"], ["app/voice", "-x"]]


def test_the_tests_do_not_see_the_environment_file(started: list[list[str]]) -> None:
    Path(".env").write_text("OF_THIS_PROJECT=1\n")
    run("selftest")
    assert "OF_THIS_PROJECT" not in os.environ
    run("scenario")
    assert os.environ["OF_THIS_PROJECT"] == "1"


ALONE = """
import sys
from kit.__main__ import main

sys.argv = ["agent", "selftest", "--help"]
try:
    main()
finally:
    assert "app" not in sys.modules and "pytest" not in sys.modules
"""


@pytest.mark.process(ALONE)
def test_the_command_starts_without_the_app(process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "agent selftest" in output


@pytest.mark.parametrize(("numprocesses", "loaded"), [(None, ["kit.plugin"]), (2, [])])
def test_the_process_that_distributes_tests_loads_no_fixtures(numprocesses: int | None, loaded: list[str]) -> None:
    imported: list[str] = []
    plugins = SimpleNamespace(import_plugin=imported.append)
    config: Any = SimpleNamespace(getoption=lambda *_: numprocesses, pluginmanager=plugins)
    start_pytest.pytest_configure(config)
    assert imported == loaded


# --- agent ------------------------------------------------------------------------------------------------------------


def names(application: typer.Typer) -> set[str]:
    return set(typer.main.get_command(application).commands)  # type: ignore[attr-defined]


def test_the_commands_are_listed() -> None:
    assert names(cli.app) >= {"serve", "scenario", "selftest", "doctor", "setup"}


def test_the_conversation_of_any_channel_can_be_a_command() -> None:
    async def converse(models: list[Any], name: str, *, local: bool) -> int:
        return 0

    assert str(command("page", converse).__doc__).startswith("Page the agent in this terminal.")


def test_the_commands_of_the_folders_are_those_of_the_server() -> None:
    of_folders = {each.__name__.replace("_", "-") for module in modules("commands") for each in module.COMMANDS}
    assert names(server) == {"serve", *of_folders} <= names(cli.app)
    assert {each.__name__.replace("_", "-") for each in commands()} <= names(cli.app)
