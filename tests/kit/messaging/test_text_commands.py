"""A wrong command of `agent text` names its mistake, and a text goes on as before."""

from __future__ import annotations

import pytest

from kit.text_console import COMMANDS
from tests.kit.test_cli import alone, run

__all__ = ["alone"]  # fixture


def screen(*typed: str) -> str:
    result = run("text", "--script", typed="\n".join([*typed, "/quit", ""]))
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("command", ["/nonsense", "/hangup", "/dtmf 1", "/", "/Close"])
def test_a_command_that_does_not_exist_is_named_with_those_that_do(command: str) -> None:
    shown = screen(command, "xyzzy")
    assert f"There is no command {command.split()[0]}. There are:" in shown and 'I heard "xyzzy".' in shown
    assert all(each in shown for each in COMMANDS) and len(COMMANDS) == 7


@pytest.mark.parametrize(
    ("typed", "mistake"),
    [
        (["/human Hello"], "Not done: the conversation has not begun, so /human has to wait for a text."),
        (["/close"], "Not done: the conversation has not begun, so /close has to wait for a text."),
        (["Hello", "/human"], "Not done: /human takes what the human writes, as in /human Hello."),
        (["Hello", "/done"], "Not done: /done is for a conversation in which a human was asked for."),
        (["Hello", "/no_worker"], "Not done: /no_worker is for a conversation in which a human was asked for."),
        (["/photo of me"], "Not done: /photo stands alone, without 'of me'."),
        (["Hello", "/close it"], "Not done: /close stands alone, without 'it'."),
        (["/quit now"], "Not done: /quit stands alone, without 'now'."),
        (["/tool no_such_tool"], "Not called: "),
    ],
)
def test_a_wrong_use_is_named_and_nothing_is_done(typed: list[str], mistake: str) -> None:
    shown = screen(*typed, "xyzzy")
    assert mistake in shown and 'I heard "xyzzy".' in shown


def test_the_help_lists_every_command() -> None:
    shown = screen("/help")
    assert all(each in shown for each in COMMANDS) and "There is no command" not in shown
