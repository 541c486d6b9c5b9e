"""The commands, as somebody types them."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app import config
from kit import cli
from kit.conventions import commands
from kit.plugin import silence_logs

KEYS = [name for names, _ in config.MODEL_KEYS.values() for name in names]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key and no .env of whoever runs the tests, and no log set-up left behind."""
    for name in (*KEYS, "AGENT_MODEL", "AGENT_FALLBACK_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kit.scripted_model.WORD_DELAY", 0.001)
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


def test_scenarios_that_go_as_expected_are_exit_code_0(scenarios: Path) -> None:
    result = run("scenario")
    assert result.exit_code == 0
    assert "ok   good" in result.output and "1 of 1 as expected, answered by the scripts." in result.output


def test_a_scenario_that_does_not_is_exit_code_1(scenarios: Path) -> None:
    (scenarios / "bad.yml").write_text(BAD)
    result = run("scenario")
    assert result.exit_code == 1
    assert "FAIL bad" in result.output and "'indeed' is missing in 'No.'" in result.output
    assert "1 of 2 as expected" in result.output


def test_a_wrong_file_is_exit_code_2_and_nothing_is_played(scenarios: Path) -> None:
    (scenarios / "wrong.yml").write_text("turns: [{callr: Hello}]\n")
    result = run("scenario")
    assert result.exit_code == 2
    assert "wrong.yml:1: turns.0.callr: there is no such field; did you mean caller?" in result.stderr
    assert "good" not in result.stdout


@pytest.mark.parametrize("arguments", [["nothing.yml"], ["scenarios"], []])
def test_a_file_that_is_none_is_exit_code_2(arguments: list[str]) -> None:
    result = run("scenario", *arguments)
    assert result.exit_code == 2
    assert result.stderr


def test_files_that_are_named_are_played_and_no_others(scenarios: Path, tmp_path: Path) -> None:
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
    assert "  Hello" in output and "agent  Indeed." in output


def test_the_real_model_is_not_asked_without_its_key(scenarios: Path) -> None:
    result = run("scenario", "--model")
    assert result.exit_code == 2
    assert KEYS[0] in result.stderr


# --- agent ------------------------------------------------------------------------------------------------------------


def test_the_commands_are_listed() -> None:
    output = run("--help").output
    named = [command.__name__.replace("_", "-") for command in commands()]
    assert all(command in output for command in ("serve", "scenario", *named))
