"""Tests of your reactions, which are functions of a signal and a session. This file is yours."""

from __future__ import annotations

from typing import Any

import pytest

from agent import reactions
from app import Session
from app.signals import NextBestResponse, ScriptAdherence, Sentiment, Summary, SummaryNotSaved

Actions = list[tuple[Any, ...]]


@pytest.fixture
def actions(session: Session) -> Actions:
    """The actions that the reactions have called, each with its arguments."""
    actions: Actions = []
    add_action(session, actions, "alert")
    return actions


def add_action(session: Session, actions: Actions, name: str, result: bool = True) -> None:
    async def action(*arguments: Any) -> bool:
        actions.append((name, *arguments))
        return result

    session.actions[name] = action


async def react_to(session: Session, *labels: str) -> None:
    for label in labels:
        await reactions.on_sentiment(Sentiment(label=label), session)


async def test_two_negative_results_send_one_alert(session: Session, actions: Actions) -> None:
    await react_to(session, "negative")
    assert actions == []
    await react_to(session, "negative", "negative", "negative")
    assert actions == [("alert", session, "falling_sentiment")]


async def test_two_negative_results_transfer_the_call(session: Session, actions: Actions) -> None:
    add_action(session, actions, "escalate")
    await react_to(session, "negative", "negative", "negative")
    assert [action[:2] for action in actions] == [("escalate", "falling_sentiment")]


async def test_an_alert_is_sent_when_the_transfer_fails(session: Session, actions: Actions) -> None:
    add_action(session, actions, "escalate", result=False)
    await react_to(session, "negative", "negative")
    assert [action[0] for action in actions] == ["escalate", "alert"]


async def test_single_negative_results_do_nothing(session: Session, actions: Actions) -> None:
    await react_to(session, "negative", "neutral", "negative", "positive", "negative", "mixed")
    assert actions == []


async def test_failed_criteria_are_flagged(session: Session) -> None:
    await reactions.on_script_adherence(ScriptAdherence(failed=["greeting", "recording"]), session)
    await reactions.on_script_adherence(ScriptAdherence(failed=["recording"]), session)
    assert session.state["flags"] == ["script:greeting", "script:recording"]


async def test_a_summary_is_saved(session: Session, actions: Actions) -> None:
    add_action(session, actions, "save_summary")
    await reactions.on_summary(Summary(text="Wants a refund."), session)
    assert actions == [("save_summary", "Wants a refund.")]


async def test_a_summary_that_was_not_saved_raises(session: Session, actions: Actions) -> None:
    add_action(session, actions, "save_summary", result=False)
    with pytest.raises(SummaryNotSaved):
        await reactions.on_summary(Summary(text="Wants a refund."), session)


async def test_a_summary_without_memory_is_ignored(session: Session) -> None:
    await reactions.on_summary(Summary(text="Wants a refund."), session)


async def test_the_last_suggestion_is_in_the_guidance(session: Session) -> None:
    session.guidance.append("Be brief.")
    await reactions.on_next_best_response(NextBestResponse(text="Offer a refund."), session)
    await reactions.on_next_best_response(NextBestResponse(text="Offer a call back."), session)
    assert session.guidance[0] == "Be brief." and len(session.guidance) == 2
    assert "Offer a call back." in session.guidance[1]
