"""Frames of Twilio: what a capability learns of them, and what the log says of one that is ignored."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from uuid import uuid4

import pytest

from app import Session
from app.capability import Capability
from app.voice.tests.test_security import PROMPT, setup
from kit.activity import wait_until
from kit.testing import Dial
from kit.voice_fixtures import websocket

REASONS = {
    '{"type": "dtmf", "digit": "1"}': "Dtmf came before setup",
    PROMPT: "Prompt came before setup",
    "no frame": "message: json_invalid",
    "[]": "message: dict_type",
    '{"type": "setup"}': "setup.callSid: missing",
    '{"type": "dtmf", "digit": {"a": 1}}': "dtmf.digit: string_type",
}


@pytest.mark.parametrize(("frame", "reason"), REASONS.items())
async def test_a_reason_names_the_frame_and_the_field(
    address: str, frame: str, reason: str, logged: Callable[[], str]
) -> None:
    socket = await websocket(address)
    for each in (frame, setup("CA" + uuid4().hex), PROMPT):
        await socket.send(each)
    assert json.loads(await asyncio.wait_for(socket.recv(), 10))["token"]
    await socket.close()
    ignored = [json.loads(line) for line in logged().splitlines() if "frame.ignored" in line]
    assert [each["reason"] for each in ignored] == [reason]


async def test_text_that_was_played_is_told_to_the_capabilities(dial: Dial) -> None:
    heard: list[tuple[str, bool]] = []

    class Follows(Capability):
        async def on_heard(self, session: Session, text: str, interrupted: bool) -> None:
            heard.append((text, interrupted))

    call = await dial(capabilities=[Follows])
    await call.sends({"type": "info", "name": "tokensPlayed", "value": "Hello Ada"})
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": "Hello", "durationUntilInterruptMs": 12})
    await wait_until(lambda: ("Hello", True) in heard, "the interruption was not told")
    assert ("Hello Ada", False) in heard
