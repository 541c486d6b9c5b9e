"""Tests of what your agent does and says on the phone. This file is yours."""

from __future__ import annotations

from app.loader import load_prompt, load_tools
from kit.voice_fixtures import Dial


async def test_the_agent_hangs_up_when_it_is_asked_to(dial: Dial) -> None:
    call = await dial({"calls": {"end_call": {"reason": "done"}}, "then": "Goodbye!"}, tools=load_tools())
    await call.says("That was all.")
    await call.over()
    assert (call.ended_by, call.handoff) == ("agent", {"reasonCode": "done"})


def test_the_prompt_fits_a_voice() -> None:
    assert "read aloud" in load_prompt()
