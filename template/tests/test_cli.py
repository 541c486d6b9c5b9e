"""The commands, as somebody types them."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import Result
from typer.testing import CliRunner

from agent import words
from app import answers
from app.features import RUNTIME
from app.main import create_app
from app.session import this_session
from ops import cli
from sim.model import scripted
from tests.conftest import quiet

KEYS = [name for names, _ in answers.MODEL_KEYS.values() for name in names]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key and no .env of whoever runs the tests, speech that takes no time, and no log set-up left behind."""
    for name in (*KEYS, "AGENT_MODEL", "AGENT_FALLBACK_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.environ", dict(os.environ))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sim.playback.CHARACTERS_PER_SECOND", 10_000.0)
    monkeypatch.setattr("sim.model.WORD_DELAY", 0.001)
    yield
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.WARNING)
    quiet()


def run(*arguments: str, typed: str = "") -> Result:
    return CliRunner().invoke(cli.app, list(arguments), input=typed)


def talk(typed: str) -> str:
    """What is on the screen after a call in which this was typed."""
    result = run("call", typed=typed)
    assert result.exit_code == 0, result.output
    return result.output


# --- agent call ------------------------------------------------------------------------------------------------


def test_the_agent_greets_and_answers_what_is_typed() -> None:
    screen = talk("xyzzy\n")
    assert words.GREETING in screen
    assert 'I heard "xyzzy".' in screen


def test_the_screen_says_that_a_script_answers() -> None:
    screen = talk("")
    assert f"a script answers instead of {RUNTIME.asks()[0]}" in screen
    assert "Answered by a script, not a model." in screen


def test_every_missing_key_is_named() -> None:
    screen = talk("")
    assert all(key in screen.splitlines()[0] for key in KEYS)


def test_a_call_ends_with_a_summary() -> None:
    screen = talk("xyzzy\nplugh\n")
    assert "2 turns. The caller ended the call." in screen
    assert "First word after " in screen


def test_every_reply_is_timed() -> None:
    assert " ms, all " in talk("xyzzy\n")


def test_an_agent_that_is_interrupted_is_shown_as_far_as_it_got() -> None:
    screen = talk("xyzzy\n/interrupt I heard\nplugh\n")
    assert "I heard —" in screen and "cut off" in screen
    assert 'I heard "plugh".' in screen


def test_an_interruption_after_words_that_are_never_said_is_none() -> None:
    screen = talk("xyzzy\n/interrupt pineapple\n")
    assert "Not interrupted: the agent never said 'pineapple'" in screen
    assert "a real model answers." in screen


def test_a_dropped_call_goes_on() -> None:
    screen = talk("xyzzy\n/drop\nplugh\n")
    assert words.RECONNECTED in screen
    assert 'I heard "plugh".' in screen


def test_a_call_that_drops_twice_is_over() -> None:
    screen = talk("/drop\n/drop\nplugh\n")
    assert words.UNAVAILABLE in screen
    assert "plugh" not in screen


def test_keys_are_heard_or_refused_with_a_reason() -> None:
    screen = talk("/dtmf 12#\n")
    assert "pressed 1 2 on the keypad" in screen or "Nobody hears keys on this call" in screen


def test_silence_is_a_thing_that_callers_do() -> None:
    assert "0 turns." in talk("/silence 0.1\n")


def test_hanging_up_ends_the_call() -> None:
    assert "plugh" not in talk("xyzzy\n/hangup\nplugh\n")


@pytest.mark.parametrize("command", ["/help", "/nonsense", "/dtmf", "/dtmf abc", "/silence long"])
def test_a_command_that_is_none_shows_those_that_are(command: str) -> None:
    screen = talk(f"{command}\n")
    assert "/interrupt" in screen and "/hangup" in screen


def test_an_empty_line_is_nothing() -> None:
    assert "0 turns." in talk("\n  \n")


def test_an_agent_that_ends_the_call_is_heard_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave() -> str:
        """End the call."""
        await this_session().line.end({"reasonCode": "done"})
        return "Goodbye."

    agent_with(monkeypatch, [{"calls": {"leave": {}}}], [leave])
    screen = talk("that is all\nplugh\n")
    assert "Goodbye." in screen and words.GOODBYE in screen
    assert "The agent ended the call." in screen


def test_an_agent_that_is_silent_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.brain.Brain.reply", silence)
    result = run("call", typed="xyzzy\n")
    assert result.exit_code == 1
    assert "silence in answer to 'xyzzy'" in result.output


def test_an_agent_that_leaves_the_machine_is_exit_code_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def reports() -> str:
        """Report."""
        return str(socket.getaddrinfo("statistics.example", 443))

    agent_with(monkeypatch, [{"calls": {"reports": {}}, "then": "Done."}], [reports])
    result = run("call", typed="xyzzy\n")
    assert result.exit_code == 1
    assert "something tried to reach statistics.example" in result.output


def agent_with(monkeypatch: pytest.MonkeyPatch, rules: list[dict[str, Any]], tools: list[Any]) -> None:
    """Let `agent call` ring an agent with this script and these tools."""
    monkeypatch.setattr(
        "sim.console.create_app", lambda settings, _, **more: create_app(settings, [scripted(*rules)], tools, **more)
    )


async def silence(*_: object) -> AsyncGenerator[str]:
    for token in [""]:
        yield token


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
    assert "caller  Hello" in output and "agent  Indeed." in output


def test_an_interruption_can_be_watched(scenarios: Path) -> None:
    (scenarios / "good.yml").write_text(
        "model: [{hears: tell, says: One two three four five.}, {says: Indeed.}]\n"
        "turns:\n"
        "  - {caller: Tell me, interrupt_after: two, expect: {remembers: two, forgets: three}}\n"
        "  - {caller: Stop, expect: {contains: indeed}}\n"
    )
    result = run("scenario", "--watch")
    assert result.exit_code == 0
    assert "One two —" in result.output


def test_the_real_model_is_not_asked_without_its_key(scenarios: Path) -> None:
    result = run("scenario", "--model")
    assert result.exit_code == 2
    assert KEYS[0] in result.stderr


# --- agent ------------------------------------------------------------------------------------------------------------


def test_the_commands_are_listed() -> None:
    output = run("--help").output
    assert all(command in output for command in ("call", "serve", "scenario"))
