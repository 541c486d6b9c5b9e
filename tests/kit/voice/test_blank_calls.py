"""A transcript without words is no turn, and does not interrupt one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai.messages import UserPromptPart

from app.voice.phrases import phrases
from kit.activity import wait_until
from kit.caller import Call
from kit.testing import Dial
from kit.voice_fixtures import HeldModel, contents, counting, held

__all__ = ["held"]  # a fixture

BLANK = {
    "empty": "",
    "spaces": " \n\t\u00a0\u3000",
    "a full stop": ".",
    "dots": "...",
    "an ellipsis": "…",
    "question marks": "¿?",
    "marks of several scripts": "。、！؟।՞",
    "quotation marks": "“” «»",
    "dashes": "- – —",
    "a zero-width space": "\u200b",
    "zero-width joiners": "\u200c\u200d",
    "marks of direction": "\u200e\u200f\u202a\u202e\u2066\u2069",
    "a byte order mark": "\ufeff",
    "a word joiner and a soft hyphen": "\u2060\u00ad",
    "Hangul fillers": "\u115f\u1160\u3164\uffa0",
    "variation selectors": "\ufe0f\U000e0101",
    "control characters": "\x00\x07\x1b",
    "emoji": "👍🏽",
    "a family": "👨‍👩‍👧‍👦 🇩🇪",
    "music": "♪ ♫",
    "signs": "$ % & @ *",
}
WORDS = ["a", "5", "不", "はい", "نعم", "क", "가", "é", "½", "\u200fنعم\u200f", "...no", "👍 ok"]


def prompt(text: str, last: bool = True) -> dict[str, Any]:
    return {"type": "prompt", "voicePrompt": text, "lang": "en-US", "last": last}


@pytest.mark.parametrize("text", BLANK.values(), ids=BLANK.keys())
async def test_a_blank_transcript_is_no_turn(call: Call, text: str) -> None:
    await call.sends(prompt(text, last=False))
    await call.sends(prompt(text))
    assert (await call.says("Hello")).text.strip() == "You said something."
    assert [frame["last"] for frame in call.frames].count(True) == 1
    await call.says("And now?")
    assert contents(call.session, UserPromptPart) == ["Hello"]


@pytest.mark.parametrize("text", ["", "...", "\u200b", "👍"])
async def test_a_blank_transcript_interrupts_no_answer(dial: Dial, held: HeldModel, text: str) -> None:
    call = await counting(dial, held)
    await call.sends(prompt(text))
    await call.sends(prompt(text, last=False))
    held.released = True
    assert (await call.hears_reply(call.turns[0])).text.strip() == "red blue"


async def test_a_blank_transcript_breaks_no_silence(dial: Dial, advance_clock: Callable[[float], None]) -> None:
    call = await dial(silence=10.0)
    await call.sends({"type": "info", "name": "agentSpeaking", "value": "off"})
    await asyncio.sleep(0.05)
    advance_clock(9.0)
    await call.sends(prompt("…"))
    await asyncio.sleep(0.05)
    advance_clock(1.5)
    await wait_until(lambda: call.remarks == [phrases.STILL_THERE], "the caller was not asked")


@pytest.mark.parametrize("text", WORDS)
async def test_the_shortest_words_are_a_turn(call: Call, text: str) -> None:
    assert (await call.says(text)).text.strip() == "You said something."
