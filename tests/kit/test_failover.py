"""A second model answers when the first one gives nothing that could be said."""

from __future__ import annotations

from typing import Any

import pytest

from kit.testing import Begin

FAILURES: dict[str, dict[str, Any]] = {
    "an error": {"fails": True},
    "an empty answer": {"says": ""},
    "no word": {"says": " \n"},
}


@pytest.mark.parametrize("rule", FAILURES.values(), ids=FAILURES.keys())
async def test_the_second_model_answers(begin: Begin, rule: dict[str, Any]) -> None:
    talk = await begin(rule, fallback=[{"says": "From the second."}])
    assert (await talk.says("Hello")).text.strip() == "From the second."


@pytest.mark.parametrize("then", [" ", "\n "])
async def test_blank_words_are_no_answer(begin: Begin, then: str) -> None:
    talk = await begin({"hears": "first", "says": then}, {"says": "Yes."})
    assert talk.apology in (await talk.says("first")).text
    assert (await talk.says("second")).text == "Yes."


async def test_an_empty_answer_after_words_and_a_tool_is_none_to_apologise_for(begin: Begin) -> None:
    def note() -> str:
        """Note it."""
        return "noted"

    talk = await begin({"says": "Noted. ", "calls": {"note": {}}, "then": ""}, fallback=[{"says": "No."}], tools=[note])
    assert (await talk.says("Note it")).text.strip() == "Noted."
