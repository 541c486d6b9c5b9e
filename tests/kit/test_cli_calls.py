"""`agent call` with lines from a pipe."""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from agent import phrases
from app import this_session
from app.capability import RescuesCall
from app.main import create_app
from app.registry import CAPABILITIES, RUNTIME
from kit.scripted_model import scripted
from tests.kit.test_cli import KEYS, alone, run, scenarios

__all__ = ["alone", "scenarios"]  # fixtures


def talk(typed: str) -> str:
    """The output of a call in which `typed` was entered."""
    result = run("call", typed=typed)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_agent_greets_and_answers_typed_text() -> None:
    screen = talk("xyzzy\n")
    assert phrases.GREETING in screen
    assert 'I heard "xyzzy".' in screen


def test_the_screen_says_that_a_script_answers() -> None:
    screen = talk("")
    assert f"a script answers instead of {RUNTIME.model_names()[0]}" in screen
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


def test_an_interrupted_reply_is_printed_as_far_as_it_was_heard() -> None:
    screen = talk("xyzzy\n/interrupt I heard\nplugh\n")
    assert "I heard —" in screen and "cut off" in screen
    assert 'I heard "plugh".' in screen


def test_an_interruption_after_words_that_are_never_said_is_refused() -> None:
    screen = talk("xyzzy\n/interrupt pineapple\n")
    assert "Not interrupted: the agent never said 'pineapple'" in screen
    assert "a real model answers." in screen


def test_a_dropped_call_goes_on() -> None:
    screen = talk("xyzzy\n/drop\nplugh\n")
    assert phrases.RECONNECTED in screen
    assert 'I heard "plugh".' in screen


def test_after_a_second_drop_twilio_speaks_and_not_the_agent() -> None:
    """What the agent says to a call that does not come back; a keypad menu speaks for itself."""
    screen = talk("/drop\n/drop\nplugh\n")
    rescued = any(issubclass(each, RescuesCall) for each in CAPABILITIES)
    assert "(spoken by Twilio)" in screen and (phrases.UNAVAILABLE in screen) != rescued
    assert 'I heard "plugh"' not in screen


def test_keys_are_delivered_or_refused_with_a_reason() -> None:
    screen = talk("/dtmf 12#\n")
    assert "pressed 1 2 on the keypad" in screen or "This call has no dtmfDetection" in screen


def test_a_silence_is_no_turn() -> None:
    assert "0 turns." in talk("/silence 0.1\n")


def test_hanging_up_ends_the_call() -> None:
    assert "plugh" not in talk("xyzzy\n/hangup\nplugh\n")


@pytest.mark.parametrize("command", ["/help", "/nonsense", "/dtmf", "/dtmf abc", "/silence long"])
def test_an_unknown_command_prints_the_help(command: str) -> None:
    screen = talk(f"{command}\n")
    assert "/interrupt" in screen and "/hangup" in screen


def test_an_empty_line_is_no_turn() -> None:
    assert "0 turns." in talk("\n  \n")


def test_an_agent_that_ends_the_call_is_heard_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave() -> str:
        """End the call."""
        await this_session().connection.end({"reasonCode": "done"})
        return "Goodbye."

    agent_with(monkeypatch, [{"calls": {"leave": {}}}], [leave])
    screen = talk("that is all\nplugh\n")
    assert "Goodbye." in screen and phrases.GOODBYE in screen
    assert "The agent ended the call." in screen


def test_a_silent_agent_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.brain.Brain.reply", silence)
    result = run("call", typed="xyzzy\n")
    assert result.exit_code == 1
    assert "silence in answer to 'xyzzy'" in result.output


def test_a_request_beyond_the_machine_exits_with_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def reports() -> str:
        """Report."""
        return str(socket.getaddrinfo("statistics.example", 443))

    agent_with(monkeypatch, [{"calls": {"reports": {}}, "then": "Done."}], [reports])
    result = run("call", typed="xyzzy\n")
    assert result.exit_code == 1
    assert "the app tried to reach statistics.example" in result.output


def agent_with(monkeypatch: pytest.MonkeyPatch, rules: list[dict[str, Any]], tools: list[Any]) -> None:
    """Let `agent call` ring an agent with this script and these tools."""
    monkeypatch.setattr(
        "kit.voice_console.create_app",
        lambda settings, _, **more: create_app(settings, [scripted(*rules)], tools, **more),
    )


async def silence(*_: object) -> AsyncGenerator[str]:
    for token in [""]:
        yield token


def test_watching_prints_an_interruption(scenarios: Path) -> None:
    (scenarios / "good.yml").write_text(
        "model: [{hears: tell, says: One two three four five.}, {says: Indeed.}]\n"
        "turns:\n"
        "  - {caller: Tell me, interrupt_after: two, expect: {remembers: two, forgets: three}}\n"
        "  - {caller: Stop, expect: {contains: indeed}}\n"
    )
    result = run("scenario", "--watch")
    assert result.exit_code == 0
    assert "One two —" in result.output
