"""Tests of your own reactions: plain functions, a signal and a call. This file is yours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from agent import reactions as actions
from app.session import Session
from app.signals import NextBestResponse, NotKept, ScriptAdherence, Sentiment, Summary


@pytest.fixture
def offered() -> list[tuple[Any, ...]]:
    """What the reactions have asked of the other levels."""
    return []


@pytest.fixture
def session(offered: list[tuple[Any, ...]]) -> Session:
    """A call of a project without levels 2 and 4."""
    session = Session("CA1", "+15005550006", "+15005550001", "en-US", now=lambda: datetime.now(UTC))

    async def alert(_: Session, reason: str) -> bool:
        offered.append(("alert", reason))
        return True

    session.offers["alert"] = alert
    return session


def offer(session: Session, offered: list[tuple[Any, ...]], name: str, answer: bool = True) -> None:
    async def take(*what: Any) -> bool:
        offered.append((name, *what))
        return answer

    session.offers[name] = take


async def feel(session: Session, *labels: str) -> None:
    for label in labels:
        await actions.on_sentiment(Sentiment(label=label), session)


async def test_people_are_told_of_an_unhappy_caller_once(session: Session, offered: list[tuple[Any, ...]]) -> None:
    await feel(session, "negative")
    assert offered == []
    await feel(session, "negative", "negative", "negative")
    assert offered == [("alert", "falling_sentiment")]


async def test_an_unhappy_caller_is_handed_over(session: Session, offered: list[tuple[Any, ...]]) -> None:
    offer(session, offered, "escalate")
    await feel(session, "negative", "negative", "negative")
    assert [each[:2] for each in offered] == [("escalate", "falling_sentiment")]


async def test_people_are_told_when_nobody_can_take_over(session: Session, offered: list[tuple[Any, ...]]) -> None:
    offer(session, offered, "escalate", answer=False)
    await feel(session, "negative", "negative")
    assert [each[0] for each in offered] == ["escalate", "alert"]


async def test_one_bad_moment_is_no_alarm(session: Session, offered: list[tuple[Any, ...]]) -> None:
    await feel(session, "negative", "neutral", "negative", "positive", "negative", "mixed")
    assert offered == []


async def test_what_the_agent_should_have_said_is_recorded(session: Session) -> None:
    await actions.on_script_adherence(ScriptAdherence(failed=["greeting", "recording"]), session)
    await actions.on_script_adherence(ScriptAdherence(failed=["recording"]), session)
    assert session.state["flags"] == ["script:greeting", "script:recording"]


async def test_a_summary_is_kept(session: Session, offered: list[tuple[Any, ...]]) -> None:
    offer(session, offered, "summarize")
    await actions.on_summary(Summary(text="Wants a refund."), session)
    assert offered == [("summarize", "Wants a refund.")]


async def test_a_summary_that_memory_did_not_take_is_not_done(session: Session, offered: list[tuple[Any, ...]]) -> None:
    offer(session, offered, "summarize", answer=False)
    with pytest.raises(NotKept):
        await actions.on_summary(Summary(text="Wants a refund."), session)


async def test_a_summary_without_memory_does_no_harm(session: Session) -> None:
    await actions.on_summary(Summary(text="Wants a refund."), session)


async def test_the_model_gets_the_last_suggestion(session: Session) -> None:
    session.guidance.append("Be brief.")
    await actions.on_next_best_response(NextBestResponse(text="Offer a refund."), session)
    await actions.on_next_best_response(NextBestResponse(text="Offer a call back."), session)
    assert session.guidance[0] == "Be brief." and len(session.guidance) == 2
    assert "Offer a call back." in session.guidance[1]
