"""Workarounds for TAC 2.5. Each test fails without its workaround in app/voice/tac/."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pydantic_ai.messages import UserPromptPart
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection

from app import config
from app.connection import NotSupported
from app.voice.phrases import phrases
from app.voice.tac import ForwardedHeaders
from app.voice.tests.test_calls import opened
from app.voice.tests.test_security import PROMPT, setup
from kit import defaults
from kit.agent_app import build_app
from kit.caller import Call, calls_of
from kit.plugin import Web
from kit.voice_fixtures import Dial, HeldModel, contents, counting, held, leave, leave_without_a_word, websocket

__all__ = ["held"]  # a fixture


# --- the address that Twilio signs --------------------------------------------------------------------------------


async def passed(scope: Scope) -> Scope:
    """The scope that the app sees."""
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)

    async def unused(*_: Any) -> Any: ...

    await ForwardedHeaders(app, "https://agent.example:8443/voice")(scope, unused, unused)
    return scopes[0]


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_the_public_address_replaces_that_of_a_proxy_and_other_headers_stay(kind: str) -> None:
    other = (b"x-twilio-signature", b"abc")
    proxied = [(b"x-forwarded-host", b"evil.example"), (b"x-forwarded-proto", b"http"), other]
    public = [(b"x-forwarded-host", b"agent.example:8443/voice"), (b"x-forwarded-proto", b"https"), other]
    assert sorted((await passed({"type": kind, "headers": proxied}))["headers"]) == sorted(public)


async def test_the_lifespan_passes_unchanged() -> None:
    assert await passed({"type": "lifespan"}) == {"type": "lifespan"}


# --- the session starts at setup --------------------------------------------------------------------------


async def test_a_call_without_a_prompt_has_a_session_until_the_caller_hangs_up(call: Call) -> None:
    assert call.session.caller == defaults.CALLER
    assert call.app.state.conversations.active == 1
    await call.hangs_up()
    assert calls_of(call.app).get(call.sid) is None
    assert call.app.state.conversations.active == 0


async def test_parameters_of_the_setup_reach_the_session(dial: Dial) -> None:
    call = await dial(capabilities=[])
    socket = await websocket(call.address)
    call_sid = "CA" + uuid4().hex
    await socket.send(setup(call_sid, {"a": "b"}))
    await socket.send(PROMPT)
    await socket.recv()
    assert calls_of(call.app).get(call_sid).parameters == {"a": "b"}
    await socket.close()


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


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "prompt", "voicePrompt": "Hello", "lang": 7, "last": True},
        {"type": "prompt", "voicePrompt": "Hello", "last": True, "conversationId": "conv_conversation_unknown"},
        {"type": "prompt", "voicePrompt": "Hello", "final": False},
    ],
    ids=["a wrong type", "another conversation", "a field of TAC"],
)
async def test_other_fields_of_a_prompt_are_ignored(address: str, frame: dict[str, Any]) -> None:
    socket = await websocket(address)
    await socket.send(setup("CA" + uuid4().hex))
    await socket.send(json.dumps(frame))
    assert json.loads(await asyncio.wait_for(socket.recv(), 10))["token"] == "Yes."
    await socket.close()


async def test_other_fields_of_an_interruption_are_ignored(dial: Dial, held: HeldModel) -> None:
    call = await counting(dial, held)
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": "red", "durationUntilInterruptMs": "a while"})
    call.turns[0].heard_text = "red"
    assert (await call.hears_reply(call.turns[0])).text.strip() == "red"


async def test_the_twiml_asks_for_neither_keys_nor_partial_prompts(web: Web) -> None:
    assert not {"dtmfDetection", "partialPrompts"} & set((await opened(web)).attributes)


# --- tools that act on a call -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "arguments", "handoff"),
    [(leave, {"reason": "done"}, {"reasonCode": "done"}), (leave_without_a_word, {}, {})],
    ids=["handoff data", "none"],
)
async def test_a_tool_ends_the_call_after_the_last_words(dial: Dial, tool: Any, arguments: Any, handoff: Any) -> None:
    call = await dial({"calls": {tool.__name__: arguments}}, tools=[tool])
    await call.begins("Goodbye")
    await call.wait_for_end()
    assert call.turns[0].text == "The call ends."
    assert (call.ended_by, call.handoff, call.farewell) == ("agent", handoff, phrases.GOODBYE)


@pytest.mark.parametrize(
    "act",
    [
        lambda connection: connection.play("https://agent.example/jingle.mp3"),
        lambda connection: connection.send_digits("1"),
        lambda connection: connection.switch_language("es-MX"),
    ],
    ids=["play", "send_digits", "switch_language"],
)
async def test_an_operation_that_tac_lacks_raises_not_supported(call: Call, act: Callable[[Any], Any]) -> None:
    with pytest.raises(NotSupported):
        await act(call.session.connection)


# --- routes, telemetry, log -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/conversation-relay-callback", "/twilio/call-events/status", "/twilio/call-events/amd", "/webhook"]
)
async def test_routes_of_tac_that_nothing_needs_are_closed(web: Web, path: str) -> None:
    assert (await web.post(path, {"CallSid": "CA1"})).status_code == 404


@pytest.mark.parametrize(("configured", "used"), [({}, "true"), ({"TAC_ANALYTICS_DISABLED": "false"}, "false")])
def test_telemetry_is_off_unless_it_is_configured(
    monkeypatch: pytest.MonkeyPatch, configured: dict[str, str], used: str
) -> None:
    monkeypatch.delenv("TAC_ANALYTICS_DISABLED")
    for name, value in configured.items():
        monkeypatch.setenv(name, value)
    build_app()
    assert os.environ["TAC_ANALYTICS_DISABLED"] == used


async def test_the_log_of_tac_is_redacted(dial: Dial, logged: Callable[[], str]) -> None:
    await dial()
    logging.getLogger("tac.test").error("from %s", defaults.CALLER)
    (line,) = [line for line in logged().splitlines() if "from" in line]
    assert json.loads(line)["event"] == "from ***06"


async def test_a_replaced_connection_does_not_end_the_session(dial: Dial) -> None:
    async def answered(socket: ClientConnection) -> bool:
        await socket.send(PROMPT)
        text = ""
        async with asyncio.timeout(10):
            while not (frame := json.loads(await socket.recv()))["last"]:
                text += frame["token"]
        return text == "Yes."

    call = await dial(capabilities=[])
    call_sid = "CA" + uuid4().hex
    old = await websocket(call.address)
    await old.send(setup(call_sid))
    assert await answered(old)
    session = calls_of(call.app).get(call_sid)
    session.connection.open = False  # as the action route does when Twilio reports the disconnect
    new = await websocket(call.address)
    await new.send(setup(call_sid))
    assert await answered(new)
    await old.close()
    assert await answered(new) and await answered(new)
    assert session.connection.open
    await new.close()
