"""The player reports endings and problems of calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.testing import play
from tests.kit.test_scenarios import path, played, silence, write

__all__ = ["path"]  # a fixture


@pytest.mark.parametrize(
    ("ending", "failure"),
    [
        ("expect: {ended_by: agent}", "the call was ended by caller, expected: agent"),
        ("expect: {handoff: {reasonCode: done}}", "handoff data: None"),
    ],
)
async def test_an_ending_that_is_not_as_expected_is_reported(path: Path, ending: str, failure: str) -> None:
    result = await played(path, "  - caller: Hello\n  - hangup: true", ending)
    assert failure in result.failures[0]


async def test_a_scenario_without_an_end_ends_with_a_hang_up(path: Path) -> None:
    assert (await played(path, "  - caller: Hello", "expect: {ended_by: caller}")).failures == []


async def test_silence_is_reported_and_does_not_hang(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.caller.SILENCE_TIMEOUT", 0.2)
    monkeypatch.setattr("app.brain.Brain.reply", silence)
    result = await played(path, "  - caller: Hello")
    assert "silence in answer to 'Hello'" in result.failures[0]


async def test_keys_without_dtmf_detection_are_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kit.caller.Call.listens_to_keys", False)
    result = await played(path, "  - dtmf: 12#")
    assert "dtmfDetection is off" in result.failures[0]


async def test_a_caller_hangs_up_in_the_middle_of_a_reply(path: Path) -> None:
    model = "model:\n  - {says: One two three four five, word_delay: 0.02}\n"
    turns = "turns:\n  - {caller: Hello, hangup_after: One two, expect: {forgets: five}}\n"
    write(path, f"{model}{turns}expect: {{ended_by: caller}}\n")
    assert (await play(path)).failures == []
