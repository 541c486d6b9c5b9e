"""Tests of your agent: a tool is a plain function, the prompt a plain text. This file is yours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app import Session, this_session
from kit.testing import Begin


async def opening_hours(day: str) -> str:
    """Say when the shop is open. A tool of agent/tools.py is tested in the same way."""
    this_session().state["day"] = day
    return f"On {day} from nine to five."


async def test_a_tool_has_a_session(session: Session) -> None:
    assert "nine" in await opening_hours("Monday")
    assert session.state == {"day": "Monday"}


async def test_the_agent_calls_a_tool(begin: Begin) -> None:
    talk = await begin({"calls": {"opening_hours": {"day": "Monday"}}}, tools=[opening_hours])
    reply = await talk.says("When are you open on Monday?")
    assert reply.tools == ["opening_hours"] and "nine to five" in reply.text


def test_each_tool_tells_the_model_when_to_use_it(agent_tools: list[Callable[..., Any]]) -> None:
    assert all(tool.__doc__ for tool in agent_tools)


def test_the_prompt_is_short(agent_prompt: str) -> None:
    assert 0 < len(agent_prompt) < 5000  # the model reads it again in every turn


def test_phrases_have_no_markup(agent_phrases: dict[str, str]) -> None:
    for phrase in agent_phrases.values():
        assert phrase.strip() and not set(phrase) & set("*#<>[]{}|_")
