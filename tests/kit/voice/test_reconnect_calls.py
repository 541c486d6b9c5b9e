"""A call that loses its WebSocket: it comes back with its history, or ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic_ai import messages as m

from app import config
from app.capability import Timeouts
from app.voice.phrases import phrases
from app.voice.tests.test_security import PROMPT, setup
from kit.activity import wait_until
from kit.caller import Call, calls_of
from kit.defaults import Problem
from kit.testing import Dial
from kit.voice_fixtures import contents, websocket

STORY_RULES: list[dict[str, Any]] = [
    {"hears": "story", "says": "Once upon a time there was a very long story.", "word_delay": 0.005},
    {"hears": "", "says": "Yes."},
]
FAILED = {"CallStatus": "in-progress", "SessionStatus": "failed", "ErrorCode": "64105"}
CALL_SID = "CA" + "1" * 32


async def test_the_history_survives_a_reconnect(call: Call) -> None:
    await call.says("My name is Ada")
    await call.drops()
    await call.says("Who am I?")
    assert contents(call.session, m.UserPromptPart) == ["My name is Ada"]


async def test_a_disconnect_in_the_middle_of_a_reply_leaves_a_valid_history(dial: Dial) -> None:
    call = await dial(*STORY_RULES)
    await call.begins("Tell me a story")
    await call.hears("Once")
    await call.drops()
    assert (await call.says("Go on")).text == "Yes."
    assert contents(call.session, m.UserPromptPart) == ["Tell me a story"]


async def test_an_interruption_of_the_second_greeting_does_not_shorten_the_last_reply(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", True)
    await call.says("Hello")
    await call.drops()
    call.playback.rate = 0.0001
    call.playback.spoken = len(phrases.RECONNECTED) // 2
    await call.interrupts()
    await call.says("Go on")
    answer = call.session.history[-1]
    assert [part.content for part in answer.parts] == ["You said something."]
    assert call.session.greeting == phrases.GREETING


async def test_a_call_is_resumed_before_the_server_notices_the_disconnect(dial: Dial) -> None:
    call = await dial(capabilities=[])
    old = await websocket(call.address)
    await old.send(setup(CALL_SID))
    await wait_until(lambda: calls_of(call.app).get(CALL_SID), "the call did not begin")
    session = calls_of(call.app).get(CALL_SID)
    connection = session.connection
    await call.post("/connect-action", {**call.form(**FAILED), "CallSid": CALL_SID})
    new = await websocket(call.address)
    await new.send(setup(CALL_SID))
    await wait_until(lambda: session.connection is not connection, "the call was not resumed")
    await old.close()
    await new.send(PROMPT)
    assert "Yes" in str(await asyncio.wait_for(new.recv(), 10))
    await new.close()


async def test_a_call_that_is_not_resumed_ends(dial: Dial) -> None:
    call = await dial(capabilities=[], timeouts=Timeouts(reconnect=0.02))
    socket = await websocket(call.address)
    await socket.send(setup(CALL_SID))
    await wait_until(lambda: calls_of(call.app).get(CALL_SID), "the call did not begin")
    await socket.close()
    await wait_until(lambda: calls_of(call.app).get(CALL_SID) is None, "the call did not end")


async def test_twilio_itself_opens_the_websocket_again(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(config.TURN_TAKING, "application_reconnect", True)
    call = await dial({"says": "Yes."})
    await call.says("My name is Ada")
    session, greeting = call.session, call.greeting
    await call.reconnects()
    assert (await call.says("Who am I?")).text == "Yes."
    assert call.session is session and call.greeting == greeting, "no other TwiML was asked for"
    assert contents(call.session, m.UserPromptPart) == ["My name is Ada"]


async def test_without_the_attribute_twilio_does_not(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call.relay
    monkeypatch.delitem(call.relay.attributes, "applicationReconnect", raising=False)
    with pytest.raises(Problem, match="set applicationReconnect"):
        await call.reconnects()


# --- a provider of speech fails -----------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["stt", "tts"])
async def test_a_backup_for_speech_keeps_the_call_once(dial: Dial, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(config, "SPEECH_FAILOVER", True)
    call = await dial({"says": "Yes."})
    await call.account.simulate(call, {"speech": part})
    assert (await call.says("Hello?")).text == "Yes." and call.greeting.endswith(phrases.GREETING)
    await call.account.simulate(call, {"speech": part})
    assert phrases.RECONNECTED in call.greeting, "the backup has failed too: the action route has brought the call back"


@pytest.mark.parametrize("part", ["stt", "tts"])
async def test_without_a_backup_the_action_route_brings_the_call_back(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(config, "SPEECH_FAILOVER", False)
    call = await dial({"says": "Yes."})
    await call.account.simulate(call, {"speech": part})
    assert phrases.RECONNECTED in call.greeting
    assert (await call.says("Hello?")).text == "Yes."


async def test_speech_has_two_parts(call: Call) -> None:
    with pytest.raises(ValueError, match="stt or tts"):
        await call.account.simulate(call, {"speech": "video"})
