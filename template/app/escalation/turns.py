"""Words of a hand-over in the middle of a turn: after what the model has said, and the last of it."""

from __future__ import annotations

import asyncio

import structlog
from pydantic_ai import messages as m

from app.brain import Turn
from app.session import Line, Session, this_session

log = structlog.get_logger()

LONGEST_TURN = 30.0  # seconds that a signal waits for the agent to finish what it is saying
FLUSH = 1.0  # seconds


def in_turn_of(session: Session) -> bool:
    """Whether this runs for the model, in a tool or for its context; a signal does not."""
    try:
        return this_session() is session
    except LookupError:
        return False


async def tell(session: Session, turn: Turn, text: str) -> None:
    """Add `text` to what is being said."""
    await sent(turn, session.line.hold)
    told = f" {text}" if turn.said else text
    turn.said += told
    await session.line.say_last(told)


def stop(turn: Turn | None) -> None:
    """Ask the model no more, from within a tool or a hook of its turn."""
    if turn and turn.answer:
        turn.stopped = True
        turn.answer.cancel()


async def silence(line: Line) -> None:
    """Wait until no turn is open, for so long as a turn may last."""
    try:
        async with asyncio.timeout(LONGEST_TURN):
            while line.turn_is_open:
                await asyncio.sleep(0.02)
    except TimeoutError:
        log.warning("escalation.turn_is_long")


async def sent(turn: Turn, hold: str) -> None:
    """Wait until what the model said before it called the tool is on its way. `hold` is what fills a silence."""
    parts = [part for message in turn.exchanged for part in message.parts]
    length = sum(len(part.content) for part in parts if isinstance(part, m.TextPart))
    try:
        async with asyncio.timeout(FLUSH):
            while len(turn.said.replace(f"{hold} ", "") if hold else turn.said) < length:
                await asyncio.sleep(0.002)
    except TimeoutError:
        log.warning("escalation.words_are_late")
