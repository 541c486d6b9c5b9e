"""Frames that cannot be read are not logged; one that has what is needed is taken, whatever else is in it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from pydantic_ai.messages import UserPromptPart

from app.registry import CAPABILITIES
from app.voice.tests.test_security import PROMPT, setup
from kit.caller import Call, calls_of
from kit.testing import Dial
from kit.voice_fixtures import HeldModel, contents, counting, held, websocket

__all__ = ["held"]  # a fixture


@pytest.fixture(autouse=True)
def no_conversation_is_looked_up_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bare WebSocket has none: a server that stops would look for it until its time is over."""
    for capability in CAPABILITIES:
        if hasattr(capability, "shutdown_timeout"):
            monkeypatch.setattr(capability, "shutdown_timeout", 0)


WORDS = "pineapple"
UNREADABLE: dict[str, Any] = {
    "a type that is an object": {"type": {"voicePrompt": WORDS}, "voicePrompt": WORDS},
    "a type that is a list": {"type": [WORDS], "voicePrompt": WORDS},
    "a type that is a number": {"type": 7, "voicePrompt": WORDS},
    "a type that is a boolean": {"type": True, "voicePrompt": WORDS},
    "an empty type": {"type": "", "voicePrompt": WORDS},
    "a type of words": {"type": f"my name is {WORDS}", "voicePrompt": WORDS},
    "no type": {"voicePrompt": WORDS},
    "words that are an object": {"type": "prompt", "voicePrompt": {WORDS: WORDS}},
    "a field of words": {"type": "prompt", WORDS: WORDS},
    "the end of a prompt": {"type": "prompt", "voicePrompt": ["Hm"], "last": WORDS},
    "a language": {"type": "prompt", "voicePrompt": ["a", WORDS], "lang": {WORDS: WORDS}},
    "keys that are words": {"type": "dtmf", "digit": {WORDS: [WORDS]}},
    "what was heard": {"type": "interrupt", "utteranceUntilInterrupt": {WORDS: 1}, "durationUntilInterruptMs": WORDS},
    "a description": {"type": "error", "description": {WORDS: WORDS}},
    "parameters": {"type": "setup", "callSid": [WORDS], "customParameters": {WORDS: {WORDS: WORDS}}},
    "parameters of a setup": {"type": "setup", "callSid": "CA1", "customParameters": {WORDS: {WORDS: WORDS}}},
    "deep words": {"type": "prompt", "voicePrompt": json.loads("[" * 500 + f'"{WORDS}"' + "]" * 500)},
}


@pytest.mark.parametrize("frame", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_an_unreadable_frame_is_not_quoted_during_a_call(
    call: Call, frame: dict[str, Any], logged: Callable[[], str]
) -> None:
    await call.sends(json.dumps(frame))
    assert (await call.says("Hello")).text.endswith("You said something.")
    assert WORDS not in logged()


@pytest.mark.parametrize("frame", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_an_unreadable_frame_is_not_quoted_before_setup(
    address: str, frame: dict[str, Any], logged: Callable[[], str]
) -> None:
    socket = await websocket(address)
    for each in (json.dumps(frame), setup("CA" + uuid4().hex), PROMPT):
        await socket.send(each)
    async with asyncio.timeout(10):
        try:
            assert json.loads(await socket.recv())["token"]
        except Exception:  # a setup that is refused closes the connection
            assert frame["type"] == "setup"
    await socket.close()
    assert WORDS not in logged()


INTERRUPT = {"type": "interrupt", "utteranceUntilInterrupt": "red", "durationUntilInterruptMs": 100}
DURATIONS: list[Any] = [1200.5, "1200.5", "460", "a while", None, -3, 1e300, True, [1], {"ms": 1}, ""]


@pytest.mark.parametrize("duration", DURATIONS, ids=str)
async def test_an_interruption_is_taken_whatever_its_duration(dial: Dial, held: HeldModel, duration: Any) -> None:
    call = await counting(dial, held)
    await call.sends({**INTERRUPT, "durationUntilInterruptMs": duration})
    call.turns[0].heard_text = "red"
    assert (await call.hears_reply(call.turns[0])).text.strip() == "red"
    assert call.session.turn.heard_text == "red"


@pytest.mark.parametrize("heard", [None, 7, True, ["red"], {"text": "red"}], ids=str)
async def test_an_interruption_is_taken_whatever_was_heard(dial: Dial, held: HeldModel, heard: Any) -> None:
    call = await counting(dial, held)
    await call.sends({**INTERRUPT, "utteranceUntilInterrupt": heard})
    call.turns[0].heard_text = ""
    assert (await call.hears_reply(call.turns[0])).text.strip() == "red"
    assert call.session.turn.heard_text == ""


PARAMETERS: list[tuple[Any, dict[str, str]]] = [
    ({"n": 7, "f": 1.5}, {"n": "7", "f": "1.5"}),
    ({"b": True, "c": False}, {"b": "true", "c": "false"}),
    ({"a": "x", "none": None}, {"a": "x"}),
    ({"o": {"p": ["ä", 1, None]}}, {"o": '{"p": ["ä", 1, null]}'}),
    ({"l": [], "e": ""}, {"l": "[]", "e": ""}),
]


@pytest.mark.parametrize(("given", "taken"), PARAMETERS, ids=lambda value: str(value))
async def test_a_setup_is_taken_whatever_type_its_parameters_have(
    dial: Dial, given: dict[str, Any], taken: dict[str, str]
) -> None:
    call = await dial({"says": "Yes."}, capabilities=[])
    socket, call_sid = await websocket(call.address), "CA" + uuid4().hex
    await socket.send(setup(call_sid, given))
    await socket.send(PROMPT)
    async with asyncio.timeout(10):
        assert json.loads(await socket.recv())["token"]
    assert calls_of(call.app).get(call_sid).parameters == taken
    await socket.close()


@pytest.mark.parametrize(
    "fields", [{"sessionId": 7}, {"direction": None}, {"forwardedFrom": {}}, {"from": 15005550006}, {"callerName": [1]}]
)
async def test_a_setup_is_taken_whatever_its_other_fields_are(dial: Dial, fields: dict[str, Any]) -> None:
    call = await dial({"says": "Yes."}, capabilities=[])
    socket, call_sid = await websocket(call.address), "CA" + uuid4().hex
    await socket.send(json.dumps({**json.loads(setup(call_sid)), **fields}))
    await socket.send(PROMPT)
    async with asyncio.timeout(10):
        assert json.loads(await socket.recv())["token"]
    await socket.close()


@pytest.mark.parametrize("lang", [7, None, ["en"], {"code": "en"}], ids=str)
async def test_a_prompt_is_taken_whatever_its_language(call: Call, lang: Any) -> None:
    await call.says("Hello", lang=lang)
    await call.says("And?")
    assert contents(call.session, UserPromptPart) == ["Hello"]


MALFORMED: dict[str, str | bytes] = {
    "not JSON": "hello",
    "empty": "",
    "a list": "[1, 2]",
    "a string": '"setup"',
    "null": "null",
    "binary": b"\x00\x01\xff",
    "binary JSON": b'{"type": "info"}',
    "no type": '{"voicePrompt": "Hello"}',
    "an unknown type": '{"type": "somethingNew", "value": 1}',
    "a type that is a number": '{"type": 7}',
    "a type that is an object": '{"type": {"voicePrompt": "pineapple"}, "voicePrompt": "pineapple"}',
    "a prompt without words": '{"type": "prompt"}',
    "a prompt of the wrong type": '{"type": "prompt", "voicePrompt": {"a": 1}, "last": true}',
    "an interruption without words": '{"type": "interrupt"}',
    "a key without a digit": '{"type": "dtmf"}',
    "an error without a description": '{"type": "error"}',
    "a second setup": '{"type": "setup"}',
    "deep": "[" * 50_000,
    "large": json.dumps({"type": "prompt", "voicePromt": "x" * 60_000}),
}


@pytest.mark.parametrize(
    "frames",
    [*([frame] for frame in MALFORMED.values()), list(MALFORMED.values())],
    ids=[*MALFORMED.keys(), "all of them"],
)
async def test_malformed_frames_do_not_end_the_call(call: Call, frames: list[str | bytes]) -> None:
    for frame in frames:
        await call.sends(frame)
    assert (await call.says("Hello")).text.endswith("You said something.")


def early(kind: str) -> str:
    return json.dumps({"type": kind, "voicePrompt": "Hello", "digit": "1", "description": "too early"})


@pytest.mark.parametrize(
    "frames",
    [*([early(kind)] for kind in ("prompt", "interrupt", "dtmf", "error", "info")), list(MALFORMED.values())],
    ids=["prompt", "interrupt", "dtmf", "error", "info", "malformed"],
)
async def test_frames_before_setup_do_not_end_the_call(address: str, frames: list[str | bytes]) -> None:
    socket = await websocket(address)
    for frame in (*frames, setup("CA" + uuid4().hex), PROMPT):
        await socket.send(frame)
    assert json.loads(await asyncio.wait_for(socket.recv(), 10))["token"] == "Yes."
    await socket.close()
