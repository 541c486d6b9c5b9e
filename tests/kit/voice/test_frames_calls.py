"""Frames that cannot be read: nothing of them is logged, whatever they are and whenever they come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from app.voice.tests.test_security import PROMPT, setup
from kit.caller import Call
from kit.voice_fixtures import websocket

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
