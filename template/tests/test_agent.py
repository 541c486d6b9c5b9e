"""Tests of your own agent: its tools are plain functions, its prompt is a plain text. This file is yours."""

from __future__ import annotations

from agent import tools, words
from app.brain import own_prompt, own_tools
from tests.conftest import Dial


async def test_an_order_has_a_status() -> None:
    assert "4711" in await tools.order_status("4711")


async def test_the_agent_looks_an_order_up(dial: Dial) -> None:
    call = await dial({"calls": {"order_status": {"order_number": "4711"}}}, tools=own_tools())
    turn = await call.says("Where is my order 4711?")
    assert turn.tools == ["order_status"]


async def test_the_agent_hangs_up_when_it_is_asked_to(dial: Dial) -> None:
    call = await dial({"calls": {"end_call": {"reason": "done"}}, "then": "Goodbye!"}, tools=own_tools())
    await call.says("That was all.")
    await call.over()
    assert (call.ended_by, call.handoff) == ("agent", {"reasonCode": "done"})


def test_the_prompt_fits_a_voice() -> None:
    prompt = own_prompt()
    assert "read aloud" in prompt
    assert len(prompt) < 5000  # the model reads it again before every turn


def test_every_sentence_can_be_spoken() -> None:
    for name in ("GREETING", "HOLD", "APOLOGY", "RECONNECTED", "GOODBYE", "UNAVAILABLE"):
        sentence = getattr(words, name)
        assert sentence.strip() and not set(sentence) & set("*#<>[]{}|_")
