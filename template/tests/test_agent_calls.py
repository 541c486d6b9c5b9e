"""Tests of your agent on the phone. This file is yours."""

from __future__ import annotations

from kit.testing import Dial


async def test_the_agent_remembers_only_what_the_caller_heard(dial: Dial) -> None:
    call = await dial({"hears": "story", "says": "Once upon a time there was a dragon."}, {"says": "All right."})
    await call.begins("Tell me a story.")
    await call.interrupts(after="Once upon a time")
    await call.says("Stop, please.")
    history = str(call.session.history)
    assert "Once upon a time" in history and "dragon" not in history


def test_the_prompt_is_written_for_a_voice(agent_prompt: str) -> None:
    assert "read aloud" in agent_prompt
