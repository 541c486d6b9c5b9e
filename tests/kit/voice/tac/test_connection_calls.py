"""Calls on TAC: fields that it ignores, operations, closed routes, and a connection that another replaces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from websockets.asyncio.client import ClientConnection

from app.connection import NotSupported
from app.voice.phrases import phrases
from app.voice.tests.test_security import PROMPT, setup
from kit.caller import Call, calls_of
from kit.plugin import Web
from kit.testing import Dial
from kit.voice_fixtures import HeldModel, counting, held, leave, leave_without_a_word, websocket

__all__ = ["held"]  # a fixture


async def test_parameters_of_the_setup_reach_the_session(dial: Dial) -> None:
    call = await dial(capabilities=[])
    socket = await websocket(call.address)
    call_sid = "CA" + uuid4().hex
    await socket.send(setup(call_sid, {"a": "b"}))
    await socket.send(PROMPT)
    await socket.recv()
    assert calls_of(call.app).get(call_sid).parameters == {"a": "b"}
    await socket.close()


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


@pytest.mark.parametrize(
    "path", ["/conversation-relay-callback", "/twilio/call-events/status", "/twilio/call-events/amd", "/webhook"]
)
async def test_routes_of_tac_that_nothing_needs_are_closed(web: Web, path: str) -> None:
    assert (await web.post(path, {"CallSid": "CA1"})).status_code == 404


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
