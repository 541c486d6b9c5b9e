"""A capability that filters texts: its filter is applied wherever a text enters a conversation or is kept."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from app import Session, this_session
from app.capability import Capability, FiltersText
from app.session import dump_session
from kit.testing import Begin

SECRET, MARK = "xyzzy", "[secret]"


class Filter(Capability):
    """Hides SECRET. In a reply it may be split between two tokens."""

    def filter_user_text(self, session: Session, text: str) -> str:
        return str(self.filter_data(text))

    def filter_data(self, value: Any) -> Any:
        return json.loads(json.dumps(value).replace(SECRET, MARK))

    async def filter_tokens(self, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
        yield str(self.filter_data("".join([token async for token in tokens])))


class Context(Capability):
    async def context(self, session: Session, text: str) -> str | None:
        return f"They said {SECRET} before."


@pytest.fixture
def filtered(begin: Begin) -> Callable[..., Any]:
    async def start(*rules: dict[str, Any], **options: Any) -> Any:
        return await begin(*rules, capabilities=[Context, Filter], **options)

    return start


def test_a_capability_filters_if_it_has_the_methods() -> None:
    assert isinstance(Filter(), FiltersText) and not isinstance(Context(), FiltersText)


async def test_user_text_and_reply(filtered: Callable[..., Any]) -> None:
    talk = await filtered({"hears": r"\[secret\]", "says": f"You said {SECRET} aloud."})
    assert (await talk.says(f"It is {SECRET}")).text.strip() == f"You said {MARK} aloud."
    session = await talk.session()
    assert SECRET not in json.dumps(dump_session(session)) and f"it is {MARK}" in await talk.history_text()


async def test_arguments_results_state_and_sentences_of_tools(filtered: Callable[..., Any]) -> None:
    given: list[str] = []

    async def note(text: str) -> dict[str, str]:
        """Note something."""
        given.append(text)
        this_session().state["note"] = SECRET
        this_session().guidance.append(SECRET)
        return {"noted": SECRET}

    talk = await filtered({"calls": {"note": {"text": SECRET}}, "then": "{result}"}, tools=[note])
    reply = await talk.says("Note this")
    assert given == [MARK] and MARK in reply.text and SECRET not in reply.text
    assert SECRET not in json.dumps(dump_session(await talk.session()))


async def test_without_such_a_capability_nothing_is_changed(begin: Begin) -> None:
    talk = await begin({"hears": SECRET, "says": f"You said {SECRET}."}, capabilities=[Context])
    assert (await talk.says(f"It is {SECRET}")).text.strip() == f"You said {SECRET}."
    assert SECRET in await talk.history_text()
