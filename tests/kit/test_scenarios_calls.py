"""The player reports endings and problems of calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app import Session
from app.capability import Capability, RescuesCall
from app.registry import CAPABILITIES
from kit.conventions import drivers
from kit.sample_tools import order_status
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
    model = "model:\n  - {says: Once upon a time there was, word_delay: 0.02}\n"
    turns = "turns:\n  - {caller: Hello, hangup_after: Once upon, expect: {forgets: there was}}\n"
    write(path, f"{model}{turns}expect: {{ended_by: caller}}\n")
    assert (await play(path)).failures == []


@pytest.mark.parametrize("cut", ["interrupt_after", "hangup_after"])
async def test_the_calls_of_a_turn_that_was_cut_off_are_known(
    path: Path, cut: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.registry.load_tools", lambda: [order_status])
    given = "given: {deadline: 0.3, tools: {order_status: {returns: here, delay: 0.5}}}\n"
    model = "model: [{calls: {order_status: {order_number: '4711'}}}]\n"
    held = drivers()["voice"].phrases.HOLD  # said while the tool runs
    step = f"{{caller: Hello, {cut}: '{held}', expect: {{calls: {{order_status: {{order_number: 4711}}}}}}}}"
    write(path, f"{given}{model}turns: [{step}]\nexpect: {{calls: {{order_status: 1}}}}\n")
    assert (await play(path)).failures == []


GREETS = "model: [{says: Yes.}]\nturns:\n  - {answer: true, expect: {phrase: GREETING}}\n"


@pytest.mark.parametrize("step", ["silence: 0.1", "hangup: true"])
async def test_a_step_without_a_reply_is_not_checked_against_the_greeting(path: Path, step: str) -> None:
    write(path, f"{GREETS}  - {{{step}, expect: {{phrase: GREETING}}}}\n")
    assert (await play(path)).failures == [f"turn 2: GREETING is missing in {''!r}"]


async def test_words_between_two_turns_are_the_reply_to_a_silence(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reminding(Capability):
        def tools(self, session: Session) -> list[Callable[..., Any]]:
            async def remind() -> str:
                """Remind the caller."""

                async def later() -> None:
                    while session.turn and not session.turn.complete:
                        await asyncio.sleep(0.002)
                    await asyncio.sleep(0.05)
                    await session.say("Are you still there?")

                tasks.append(asyncio.create_task(later()))
                return "I will."

            return [remind]

    tasks: list[asyncio.Task[None]] = []
    monkeypatch.setattr("app.registry.CAPABILITIES", [Reminding])
    steps = "  - {caller: Remind me}\n  - {silence: 60, expect: {contains: still there, absent: help}}\n"
    write(path, f"model: [{{calls: {{remind: {{}}}}}}]\nturns:\n{steps}")
    monkeypatch.setattr("kit.caller.Call.stays_silent", lambda call, seconds: asyncio.sleep(0.5))
    assert (await play(path)).failures == []


async def test_a_drop_is_checked_against_the_greeting_that_follows(path: Path) -> None:
    rescued = any(issubclass(each, RescuesCall) for each in CAPABILITIES)  # by words of its own
    last = "{drop: true}" if rescued else "{drop: true, expect: {phrase: UNAVAILABLE}}"
    write(path, f"{GREETS}  - {{drop: true, expect: {{phrase: RECONNECTED}}}}\n  - {last}\n")
    assert (await play(path)).failures == []
