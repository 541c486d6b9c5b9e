"""Workarounds for TAC 2.5. Each test fails without its workaround in app/voice/tac/."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable

import pytest
from pydantic_ai.messages import UserPromptPart

from app import config
from app.voice.phrases import phrases
from app.voice.tests.test_security import setup
from kit import defaults
from kit.agent_app import build_app
from kit.caller import Call, calls_of
from kit.testing import Dial
from kit.voice_fixtures import contents, held

__all__ = ["held"]  # a fixture


# --- the session starts at setup --------------------------------------------------------------------------


async def test_a_call_without_a_prompt_has_a_session_until_the_caller_hangs_up(call: Call) -> None:
    assert call.session.caller == defaults.CALLER
    assert call.app.state.conversations.active == 1
    await call.hangs_up()
    assert calls_of(call.app).get(call.sid) is None
    assert call.app.state.conversations.active == 0


@pytest.mark.parametrize("frame", [setup("CA" + "2" * 32), '{"type": "dtmf", "digit": "1"}'], ids=["setup", "key"])
async def test_a_second_setup_and_a_key_change_nothing(call: Call, frame: str) -> None:
    await call.sends(frame)
    assert (await call.says("Hello")).text == "You said something."
    assert call.app.state.conversations.active == 1


# --- turns --------------------------------------------------------------------------------------------------------


async def test_an_interruption_of_the_greeting_is_recorded_without_a_reply(
    dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", True)
    call = await dial(capabilities=[])
    await call.interrupts(after=phrases.GREETING[:5])
    turn = await call.says("Hello")
    assert call.session.greeting == phrases.GREETING[:5]
    assert [frame["token"] for frame in call.frames if frame["token"]] == [turn.text]
    assert [frame["last"] for frame in call.frames].count(True) == 1


async def test_a_partial_prompt_is_no_turn(call: Call) -> None:
    for words_so_far in ("Hel", "Hello"):
        await call.sends({"type": "prompt", "voicePrompt": words_so_far, "lang": "en-US", "last": False})
    await call.says("Hello Ada")
    await call.says("And now?")
    assert contents(call.session, UserPromptPart) == ["Hello Ada"]
    assert [frame["last"] for frame in call.frames].count(True) == 2


async def test_an_interruption_does_not_close_a_closed_turn_again(call: Call) -> None:
    turn = await call.says("Hello")
    turn.playback.rate = 0.0001
    turn.playback.spoken = 3
    await call.interrupts()
    await call.says("Stop")
    assert [frame["last"] for frame in call.frames].count(True) == 2


# --- routes, telemetry, log -------------------------------------------------------------------------------


@pytest.mark.parametrize(("configured", "used"), [("", "true"), ("1", "true"), ("false", "false")])
def test_telemetry_is_off_unless_it_is_configured(monkeypatch: pytest.MonkeyPatch, configured: str, used: str) -> None:
    monkeypatch.setenv("TAC_ANALYTICS_DISABLED", configured)
    build_app()
    assert os.environ["TAC_ANALYTICS_DISABLED"] == used


async def test_the_log_of_tac_is_redacted(dial: Dial, logged: Callable[[], str]) -> None:
    await dial(log_level="debug")
    logging.getLogger("tac.test").error("from %s", defaults.CALLER)
    logging.getLogger("tac.test").debug("the caller said")
    events = [json.loads(line)["event"] for line in logged().splitlines()]
    assert "from ***06" in events
    assert not [event for event in events if "the caller said" in event or "Memory features are disabled" in event]
