"""Words of the other party with halves of surrogate pairs or control characters are answered, and can be stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from app import Session, this_session
from app.history import MAX_TEXT
from app.session import SessionStore
from app.store import InProcess
from kit.testing import Begin, Talk

BAD = ["Hello \ud83d", "\ude00 Hello", "Hello\x00", "\x1b[1mHello\x1b", "Hel\ud83d\ude00lo \ud83d", "\ufffeHello"]


async def says(talk: Talk, text: str) -> str:
    """The reply to a text that a step of a scenario cannot hold."""
    if talk.driver.channel == "messaging":
        return (await talk.driver._write(text)).text  # type: ignore[attr-defined]
    turn = await talk.party.says(text)
    return str(turn.text)


@pytest.mark.parametrize("text", BAD, ids=ascii)
async def test_bad_text_of_the_other_party_is_answered(begin: Begin, text: str) -> None:
    talk = await begin({"hears": "lo", "says": "Yes."})
    for _ in range(2):
        assert await says(talk, text) == "Yes."
    sessions = SessionStore(InProcess(), lambda: datetime.now(UTC))
    session = await talk.session()
    await sessions.save(session, 60)
    loaded = await sessions.load(session.id)
    assert isinstance(loaded, Session)
    json.dumps(await talk.history_text(), ensure_ascii=False).encode()


async def test_bad_text_in_guidance_and_state_reaches_no_model(begin: Begin) -> None:
    async def note() -> str:
        """Take a note."""
        session = this_session()
        session.guidance.append("They like tea \ud83d\x00.")
        return "noted"

    talk = await begin({"hears": "note", "calls": {"note": {}}}, {"says": "Yes."}, tools=[note])
    await talk.says("note")
    assert (await talk.says("Hello")).text == "Yes."
    assert "They like tea ." in await talk.instructions()


async def test_a_text_of_the_agent_by_itself_is_clean(begin: Begin) -> None:
    async def look() -> str:
        """Look."""
        await this_session().say("One moment \ud83d\x00.")
        return "found"

    rules: list[dict[str, Any]] = [{"hears": "look", "calls": {"look": {}}, "then": "Here."}, {"says": "Yes."}]
    talk = await begin(*rules, tools=[look])
    assert "Here." in (await talk.says("look")).text
    assert (await talk.says("Hello")).text == "Yes."
    assert "one moment ." in await talk.history_text()


async def test_a_very_long_text_is_cut(begin: Begin) -> None:
    talk = await begin({"hears": "^Hello", "says": "Yes."})
    assert await says(talk, "Hello " * 10_000) == "Yes."
    assert len(await talk.history_text()) < MAX_TEXT + 200
