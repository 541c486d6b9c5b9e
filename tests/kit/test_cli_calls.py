"""`agent call` with lines from a pipe."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent import phrases
from app import this_session
from app.capability import RescuesCall
from app.main import create_app
from app.registry import CAPABILITIES, RUNTIME
from kit.agent_app import build_app
from kit.caller import dial_app
from kit.scripted_model import scripted
from kit.voice_console import Screen, TerminalCall
from tests.kit.healthy_project import KEYS_OF_FIRST
from tests.kit.test_cli import alone, run, scenarios

__all__ = ["alone", "scenarios"]  # fixtures


EVERY = ["/interrupt", "/dtmf 12#", "/silence 5", "/drop", "/tool", "/hangup"]


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


def test_every_missing_key_of_the_first_model_is_named() -> None:
    screen = talk("")
    assert all(key in screen.splitlines()[0] for key in KEYS_OF_FIRST)


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


def test_the_length_of_a_silence_is_shown() -> None:
    screen = talk("/silence 0.5\n/silence\n")
    assert "[silent for 0.5 s]" in screen and "[silent for 3 s]" in screen


async def test_what_the_agent_says_during_a_silence_is_printed_then(capsys: pytest.CaptureFixture[str]) -> None:
    app = build_app({"says": "Yes."})
    async with dial_app(app) as call:
        terminal = TerminalCall(call, Screen(), interactive=False)
        waits = call.stays_silent

        async def stays_silent(seconds: float) -> None:
            call.remarks.append("Are you still there?")
            await waits(seconds)

        call.stays_silent = stays_silent  # type: ignore[method-assign]
        await terminal.obey("/silence 5")
        shown = capsys.readouterr().out
        terminal.terminal.summary(call, "a script")
    assert re.search(r"\[silent for 5 s\].*Are you still there\?", shown, re.DOTALL)
    assert "still there" not in capsys.readouterr().out


def test_the_help_lists_every_command() -> None:
    screen = talk("/help\n")
    assert all(each in screen for each in EVERY) and "There is no command" not in screen


@pytest.mark.parametrize("command", ["/nonsense", "/press q", "/quit", "/", "/Hangup", "/dev/null"])
def test_a_command_that_does_not_exist_is_named_with_those_that_do(command: str) -> None:
    screen = talk(f"{command}\n")
    assert f"There is no command {command.split()[0]}. There are:" in screen
    assert all(each in screen for each in EVERY)


@pytest.mark.parametrize(
    ("command", "mistake"),
    [
        ("/dtmf", "Not pressed: /dtmf takes keys (0 to 9, * and #), as in /dtmf 12#, not ''."),
        ("/dtmf q", "Not pressed: /dtmf takes keys (0 to 9, * and #), as in /dtmf 12#, not 'q'."),
        ("/dtmf 1 2", "not '1 2'."),
        ("/silence x", "Not silent: /silence takes seconds (0 to 999), as in /silence 5, not 'x'."),
        ("/silence -1", "not '-1'."),
        ("/silence 5s", "not '5s'."),
        ("/silence 9999", "not '9999'."),
        ("/drop it", "Not done: /drop stands alone, without 'it'."),
        ("/hangup now", "Not done: /hangup stands alone, without 'now'."),
        ("/tool no_such_tool", "Not called: "),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_done(command: str, mistake: str) -> None:
    screen = talk(f"{command}\nxyzzy\n")
    assert mistake in screen and 'I heard "xyzzy".' in screen and "1 turn. The caller ended the call." in screen


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"ended_by": "caller"}, "The caller ended the call."),
        ({"ended_by": "agent"}, "The agent ended the call."),
        ({"ended_by": "human"}, "The human ended the call."),
        ({"ended_by": "caller", "hung_up_in": "agent"}, "The caller ended the call."),
        ({"hung_up_in": "queue"}, "The call was passed on to a queue, where it waits for a human."),
        ({"hung_up_in": "number", "number": "+15005550009"}, "The call was passed on to +15005550009, which rings."),
        ({"hung_up_in": "payment"}, "The caller hung up while Twilio took a card."),
        ({"hung_up_in": "menu"}, "The caller hung up while Twilio waited for a key."),
        ({"ended_by": "agent", "relay": None}, "The call was not connected to the agent: its TwiML ended it."),
        ({"ended_by": "agent", "broken": True}, "The connection to the agent broke, and its TwiML ended the call."),
    ],
)
async def test_each_end_of_a_call_has_a_sentence_of_its_own(facts: dict[str, Any], sentence: str) -> None:
    async with dial_app(build_app({"says": "Yes."})) as call:
        real = vars(call).copy()
        vars(call).update({"ended_by": "caller", "hung_up_in": "", **facts})
        said = call.ending
        vars(call).update(real)
    assert said == sentence


async def test_where_the_caller_hangs_up_is_kept() -> None:
    async with dial_app(build_app({"says": "Yes."})) as call:
        assert call.place == "agent"
        for place, state in {"queue": "queue", "payment": "payment", "menu": "gather", "number": "dialed"}.items():
            setattr(call, state, SimpleNamespace())
            assert call.place == place
            setattr(call, state, None)
        await call.hangs_up()
    assert (call.hung_up_in, call.ending) == ("agent", "The caller ended the call.")


async def test_a_call_that_the_agent_has_ended_was_not_ended_by_its_caller() -> None:
    async def leave() -> str:
        """End the call."""
        await this_session().connection.end({"reasonCode": "done"})
        return "Goodbye."

    async with dial_app(build_app({"calls": {"leave": {}}}, tools=[leave])) as call:
        await call.says("that is all")
        await call.wait_for_end()
        await call.hangs_up()
        assert (call.ended_by, call.ending) == ("agent", "The agent ended the call.")


def test_a_connection_that_broke_for_good_is_said() -> None:
    if any(issubclass(each, RescuesCall) for each in CAPABILITIES):
        pytest.skip("a menu takes the call")
    assert "The connection to the agent broke, and its TwiML ended the call." in talk("/drop\n/drop\n")
    assert "The caller ended the call." in talk("/drop\nxyzzy\n")


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
