"""`given.reactions` of a scenario: reactions that do not depend on agent/reactions.py."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI

from app.intelligence import Intelligence
from app.session import Session
from app.signals import NextBestResponse, Sentiment, has_flag, set_flag, suggest
from kit.simulated_twilio.account import SimulatedAccount


async def on_sentiment(signal: Sentiment, session: Session) -> None:
    """The second negative result in a row transfers the conversation where the project can, and sets a flag."""
    before = session.state.get("sentiment")
    session.state["sentiment"] = signal.label
    if signal.label == before == "negative" and not has_flag(session, "falling_sentiment"):
        await session.escalate("falling_sentiment")
        set_flag(session, "falling_sentiment")


async def on_next_best_response(signal: NextBestResponse, session: Session) -> None:
    suggest(session, signal.text)


async def given_reactions(app: FastAPI, account: SimulatedAccount, facts: dict[str, Any]) -> None:
    """`sample: true` replaces your reactions by those above. Raises ValueError for anything else."""
    if facts != {"sample": True}:
        raise ValueError(f"{facts} is not known: write sample: true")
    for capability in app.state.conversations.capabilities:
        if isinstance(capability, Intelligence):
            capability.reactions.module = SimpleNamespace(
                on_sentiment=on_sentiment, on_next_best_response=on_next_best_response
            )


GIVEN = {"reactions": given_reactions}
