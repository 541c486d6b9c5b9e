"""The TwiML of a project with TAC, which has neither keys nor partial prompts."""

from __future__ import annotations

from kit.plugin import Web
from tests.kit.voice.test_calls import opened


async def test_the_twiml_asks_for_neither_keys_nor_partial_prompts(web: Web) -> None:
    assert not {"dtmfDetection", "partialPrompts"} & set((await opened(web)).attributes)
