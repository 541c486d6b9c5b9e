"""What `agent call` says at the end of a call that was passed on to people."""

from __future__ import annotations

import pytest

from tests.kit.test_cli import alone
from tests.kit.test_cli_calls import agent_with, talk

__all__ = ["alone"]  # fixture


def test_a_call_that_waits_for_a_human_was_not_ended_by_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"calls": {"transfer_to_human": {"reason": "complaint", "summary": "An order."}}, "then": "One moment."}
    agent_with(monkeypatch, [rule], [])
    screen = talk("A human, please.\nplugh\n")
    assert "1 turn. The call was passed on to a queue, where it waits for a human." in screen
    assert "-> queue (workflow WW" in screen and "The caller ended the call." not in screen
