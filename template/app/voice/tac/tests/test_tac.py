"""What TAC leaves to us. Each test fails without its guard in app/voice/tac/."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pydantic_ai.messages import ModelMessage, UserPromptPart
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection

from agent import phrases
from app import config
from app.connection import NotSupported
from app.voice.tac import PublicAddress
from app.voice.tests.test_security import setup
from kit import defaults, twiml
from kit.caller import Call, calls_of
from kit.plugin import Web, sign, yes
from kit.voice_fixtures import Dial, leave, leave_without_a_word, websocket

LONG = {"hears": "", "says": "One moment please, here is a long story.", "word_delay": 0.01}


# --- the address that Twilio signs ---------------------------------------------------------------------------------


async def forwarded(headers: list[tuple[bytes, bytes]], kind: str = "http") -> dict[bytes, bytes]:
    """The headers that the app sees."""
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    async def nothing(*_: Any) -> Any: ...

    await PublicAddress(app, "https://agent.example:8443/voice")({"type": kind, "headers": headers}, nothing, nothing)
    return dict(seen[0]["headers"])


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_public_address_replaces_what_a_proxy_says(kind: str) -> None:
    seen = await forwarded([(b"x-forwarded-host", b"evil.example"), (b"x-forwarded-proto", b"http")], kind)
    assert seen == {b"x-forwarded-host": b"agent.example:8443/voice", b"x-forwarded-proto": b"https"}


async def test_other_headers_stay() -> None:
    assert (await forwarded([(b"x-twilio-signature", b"abc")]))[b"x-twilio-signature"] == b"abc"


async def test_the_lifespan_passes_unchanged() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)

    await PublicAddress(app, "https://agent.example")({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert seen == [{"type": "lifespan"}]


# --- a call begins at setup ------------------------------------------------------------------------------------------


async def test_a_call_is_known_before_anybody_speaks(call: Call) -> None:
    assert call.session.caller == defaults.CALLER
    assert call.app.state.conversations.active == 1


async def test_a_caller_who_hangs_up_without_a_word_has_called(call: Call) -> None:
    await call.hangs_up()
    assert calls_of(call.app).get(call.sid) is None
    assert call.app.state.conversations.active == 0


async def test_parameters_of_the_setup_reach_the_session(call: Call) -> None:
    socket = await websocket(call.address)
    call_sid = "CA" + uuid4().hex
    await socket.send(setup(call_sid, customParameters={"a": "b"}))
    await asyncio.sleep(0.02)
    assert calls_of(call.app).get(call_sid).parameters == {"a": "b"}
    await socket.close()


async def test_a_second_setup_changes_nothing(call: Call) -> None:
    await call.sends(setup("CA" + uuid4().hex))
    assert (await call.says("Hello")).text == "You said something."
    assert call.app.state.conversations.active == 1


# --- turns ---------------------------------------------------------------------------------------------------------


async def test_an_interrupted_greeting_counts(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", True)
    call = await dial(LONG)
    await call.interrupts(after=phrases.GREETING[:5])
    await call.says("Hello")
    assert call.session.greeting == phrases.GREETING[:5]


async def test_an_interrupted_greeting_is_answered_with_nothing(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", True)
    call = await dial(LONG)
    await call.interrupts(after=phrases.GREETING[:5])
    await asyncio.sleep(0.02)
    assert call.frames == []


async def test_a_partial_prompt_is_no_turn(call: Call) -> None:
    for words_so_far in ("Hel", "Hello"):
        await call.sends({"type": "prompt", "voicePrompt": words_so_far, "lang": "en-US", "last": False})
    await call.says("Hello Ada")
    await call.says("And now?")
    assert asked(call.session.history) == ["Hello Ada"]
    assert [frame["last"] for frame in call.frames].count(True) == 2


async def test_new_words_close_the_turn_that_they_end(dial: Dial) -> None:
    call = await dial(LONG)
    await call.begins("Tell me")
    await call.hears("One")
    await call.says("Something else")
    closed = [index for index, frame in enumerate(call.frames) if frame["last"]]
    assert len(closed) == 2 and closed[1] == len(call.frames) - 1


async def test_a_turn_that_is_closed_is_not_closed_again_by_an_interruption(call: Call) -> None:
    turn = await call.says("Hello")
    turn.playback.rate = 0.0001
    turn.playback.spoken = 3
    await call.interrupts()
    await call.says("Stop")
    assert [frame["last"] for frame in call.frames].count(True) == 2


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "prompt", "voicePrompt": "Hello", "lang": 7, "last": True},
        {"type": "prompt", "voicePrompt": "Hello", "last": True, "conversationId": "conv_of_nobody"},
        {"type": "prompt", "voicePrompt": "Hello", "final": False},
    ],
    ids=["a wrong type", "another conversation", "a field of TAC's own"],
)
async def test_a_prompt_is_answered_whatever_else_it_says(address: str, frame: dict[str, Any]) -> None:
    socket = await websocket(address)
    await socket.send(setup("CA" + uuid4().hex))
    await socket.send(json.dumps(frame))
    assert json.loads(await asyncio.wait_for(socket.recv(), 10))["token"] == "Yes."
    await socket.close()


async def test_an_interruption_counts_whatever_else_it_says(dial: Dial) -> None:
    call = await dial(LONG)
    turn = await call.begins("Tell me")
    await call.hears("One")
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": "One", "durationUntilInterruptMs": "a while"})
    turn.heard_text = "One"
    await call.hears_out(turn)
    assert "story" not in turn.text


async def test_keys_are_ignored(call: Call) -> None:
    await call.sends({"type": "dtmf", "digit": "1"})
    assert (await call.says("Hello")).text == "You said something."


async def test_the_twiml_does_not_ask_for_what_tac_cannot_take(web: Web) -> None:
    relay = twiml.read((await web.post("/twiml", {"CallSid": "CA1"})).text).relay
    assert relay and not {"dtmfDetection", "partialPrompts"} & set(relay.attributes)


# --- what tools can do to a call -----------------------------------------------------------------------------------


async def test_a_tool_ends_the_call_after_the_last_words(dial: Dial) -> None:
    call = await dial({"calls": {"leave": {"reason": "done"}}}, tools=[leave])
    await call.begins("Goodbye")
    await call.over()
    assert call.turns[0].text == "The call ends."
    assert (call.ended_by, call.handoff, call.farewell) == ("agent", {"reasonCode": "done"}, phrases.GOODBYE)


async def test_a_call_can_end_without_handoff_data(dial: Dial) -> None:
    call = await dial({"calls": {"leave_without_a_word": {}}}, tools=[leave_without_a_word])
    await call.begins("Goodbye")
    await call.over()
    assert (call.ended_by, call.farewell) == ("agent", phrases.GOODBYE)


@pytest.mark.parametrize(
    "act",
    [
        lambda line: line.play("https://agent.example/jingle.mp3"),
        lambda line: line.send_digits("1"),
        lambda line: line.switch_language("es-MX"),
    ],
    ids=["play", "send_digits", "switch_language"],
)
async def test_what_tac_cannot_do_is_refused(call: Call, act: Callable[[Any], Any]) -> None:
    with pytest.raises(NotSupported):
        await act(call.session.connection)


# --- around the calls ------------------------------------------------------------------------------------------------


async def test_the_action_route_of_the_twiml_is_ours(web: Web) -> None:
    relay = twiml.read((await web.post("/twiml", {"CallSid": "CA1"})).text).relay
    assert relay and relay.action == f"{defaults.PUBLIC_URL}/connect-action"


@pytest.mark.parametrize(
    "path", ["/conversation-relay-callback", "/twilio/call-events/status", "/twilio/call-events/amd", "/webhook"]
)
async def test_tacs_own_routes_want_a_signature_too(web: Web, path: str) -> None:
    assert (await web.post(path, {"CallSid": "CA1"}, signed="")).status_code == 403
    assert (await web.post(path, {"CallSid": "CA1"}, signed=sign(f"https://evil.example{path}"))).status_code == 403


def test_telemetry_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TAC_ANALYTICS_DISABLED")
    yes()
    assert os.environ["TAC_ANALYTICS_DISABLED"] == "true"


def test_telemetry_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ANALYTICS_DISABLED", "false")
    yes()
    assert os.environ["TAC_ANALYTICS_DISABLED"] == "false"


async def test_tacs_log_is_part_of_ours(dial: Dial, logged: Callable[[], str]) -> None:
    await dial(LONG)
    logging.getLogger("tac.test").error("from %s", defaults.CALLER)
    (line,) = [line for line in logged().splitlines() if "from" in line]
    assert json.loads(line)["event"] == "from ***06"


async def test_a_line_that_was_replaced_takes_nothing_with_it(call: Call) -> None:
    async def answered(socket: ClientConnection) -> bool:
        await socket.send('{"type": "prompt", "voicePrompt": "Hello", "last": true}')
        said = ""
        async with asyncio.timeout(10):
            while not (frame := json.loads(await socket.recv()))["last"]:
                said += frame["token"]
        return said == "You said something."

    call_sid = "CA" + uuid4().hex
    old = await websocket(call.address)
    await old.send(setup(call_sid))
    assert await answered(old)
    calls_of(call.app).get(
        call_sid
    ).connection.open = False  # as the action route does when Twilio says that it dropped
    new = await websocket(call.address)
    await new.send(setup(call_sid))
    assert await answered(new)
    await old.close()
    await asyncio.sleep(0.02)
    assert await answered(new)
    assert calls_of(call.app).get(call_sid).connection.open
    await new.close()


def asked(history: list[ModelMessage]) -> list[str]:
    """What the caller has said, according to the history."""
    parts = [part for message in history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, UserPromptPart)]
