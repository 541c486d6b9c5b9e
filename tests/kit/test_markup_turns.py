"""Thoughts and markup of a model: never said nor written, on every channel and runtime, and not in the history."""

from __future__ import annotations

import pytest
from pydantic_ai import messages as m

from kit.testing import Begin

THOUGHT = "They seem angry, PIN 4711."


@pytest.mark.parametrize(
    "says",
    [
        f"<thinking>{THOUGHT}</thinking>It arrives tomorrow.",
        f"<think>\n{THOUGHT}\n</think>\n\nIt arrives <reasoning> {THOUGHT} </reasoning>tomorrow.",
        f"[[thinking]] {THOUGHT} [[/thinking]] It arrives tomorrow.",
        f"◁think▷ {THOUGHT} ◁/think▷ It arrives tomorrow.",
        f"It arrives tomorrow. <think> {THOUGHT}",
    ],
)
async def test_a_thought_is_neither_said_nor_kept(begin: Begin, says: str) -> None:
    talk = await begin({"hears": "order", "says": says}, {"says": "Yes."})
    assert (await talk.says("Where is my order?")).text.strip() == "It arrives tomorrow."
    await talk.says("Thanks")
    assert "angry" not in await talk.history_text() and "it arrives tomorrow." in await talk.history_text()


async def test_a_thought_before_a_tool_is_not_said(begin: Begin) -> None:
    async def look() -> str:
        """Look something up."""
        return "found"

    rule = {
        "hears": "look",
        "says": f"<thinking>{THOUGHT}</thinking>",
        "calls": {"look": {}},
        "then": "It is **there**.",
    }
    talk = await begin(rule, {"says": "Yes."}, tools=[look])
    reply = await talk.says("Please look")
    assert reply.text.strip() == "It is there." and reply.tools == ["look"]
    assert (await talk.says("Thanks")).text.strip() == "Yes."
    assert "angry" not in await talk.history_text()


@pytest.mark.parametrize("says", [f"<thinking>{THOUGHT}</thinking>", f"<think>{THOUGHT}", "** **", "```\n```"])
async def test_a_reply_of_which_nothing_is_left_is_apologised_for(begin: Begin, says: str) -> None:
    talk = await begin({"hears": "first", "says": says}, {"says": "Yes."})
    assert (await talk.says("first")).text.strip() == talk.apology
    assert (await talk.says("second")).text.strip() == "Yes."


async def test_marks_and_tags_are_not_said_and_the_history_has_what_was(begin: Begin) -> None:
    says = "# Hours\nWe are **open** <break time='1s'/>from 9 if x < 5, see [our page](https://example.com/a?b=c)."
    talk = await begin({"hears": "open", "says": says}, {"says": "Yes."})
    reply = (await talk.says("When are you open?")).text.strip()
    assert reply.startswith("Hours\nWe are open from 9 if x < 5, see our page")
    await talk.says("Thanks")
    texts = [p.content for each in (await talk.session()).history for p in each.parts if isinstance(p, m.TextPart)]
    assert reply in [text.strip() for text in texts]
