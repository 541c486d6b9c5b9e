"""Reactions to signals of Conversation Intelligence: one function for each kind of signal.

Delete those that you do not need. A signal whose reaction raises is kept, and `agent replay` runs the reaction again.
"""

from app import Session
from app.signals import (
    Custom,
    NextBestResponse,
    ScriptAdherence,
    Sentiment,
    Summary,
    alert,
    has_flag,
    save_summary,
    set_flag,
    suggest,
)


async def on_sentiment(signal: Sentiment, session: Session) -> None:
    """After two negative results in a row, transfer to a human, or send an alert."""
    before = session.state.get("sentiment")
    session.state["sentiment"] = signal.label
    if signal.label == before == "negative" and not has_flag(session, "falling_sentiment"):
        if not await session.escalate("falling_sentiment", "They are getting more and more unhappy."):
            await alert(session, "falling_sentiment")
        set_flag(session, "falling_sentiment")


async def on_script_adherence(signal: ScriptAdherence, session: Session) -> None:
    """Flag each sentence of the script that the agent has left out."""
    for criterion in signal.failed:
        set_flag(session, f"script:{criterion}")


async def on_summary(signal: Summary, session: Session) -> None:
    """Comes after the end of the conversation. With memory, the next conversation has it."""
    await save_summary(session, signal.text)


async def on_next_best_response(signal: NextBestResponse, session: Session) -> None:
    suggest(session, signal.text)


async def on_custom(signal: Custom, session: Session) -> None:
    """Your own operators: `signal.name` is the operator's name, `signal.result` its result."""
