"""What your agent does when Twilio notices something: one function for each kind of signal.

Delete what you do not need. One that raises is not lost: `agent replay` runs it again.
"""

from app.session import Session
from app.signals import (
    Custom,
    NextBestResponse,
    ScriptAdherence,
    Sentiment,
    Summary,
    alert,
    flagged,
    keep_summary,
    raise_flag,
    suggest,
)


async def on_sentiment(signal: Sentiment, session: Session) -> None:
    """Negative twice in a row: a human should take over, or at least know."""
    before = session.state.get("sentiment")
    session.state["sentiment"] = signal.label
    if signal.label == before == "negative" and not flagged(session, "falling_sentiment"):
        if not await session.escalate("falling_sentiment", "They are getting more and more unhappy."):
            await alert(session, "falling_sentiment")
        raise_flag(session, "falling_sentiment")


async def on_script_adherence(signal: ScriptAdherence, session: Session) -> None:
    """Record what the agent should have said and did not."""
    for criterion in signal.failed:
        raise_flag(session, f"script:{criterion}")


async def on_summary(signal: Summary, session: Session) -> None:
    """Comes when the conversation is over. With memory, the next one knows it."""
    await keep_summary(session, signal.text)


async def on_next_best_response(signal: NextBestResponse, session: Session) -> None:
    suggest(session, signal.text)


async def on_custom(signal: Custom, session: Session) -> None:
    """Your own operators: `signal.name` says which one, `signal.result` what it found."""
