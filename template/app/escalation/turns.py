"""Words of a hand-over in the middle of a turn: after what the model has said, and the last of it."""

from __future__ import annotations

import asyncio

import structlog
from pydantic_ai import messages as m

from app.connection import Connection
from app.session import Session, this_session
from app.turn import Turn

log = structlog.get_logger()

LONGEST_TURN = 30.0  # seconds that a signal waits for the agent to finish what it is saying
FLUSH = 1.0  # seconds


def is_in_turn(session: Session) -> bool:
    """Whether this runs for the model, in a tool or for its context; a signal does not."""
    try:
        return this_session() is session
    except LookupError:
        return False


async def speak_in_turn(session: Session, turn: Turn, text: str) -> None:
    """Add `text` to what is being said."""
    await flushed(turn, session.connection.hold)
    told = f" {text}" if turn.spoken_text else text
    turn.spoken_text += told
    await session.connection.append_to_turn(told)


def cancel_model(turn: Turn | None) -> None:
    """Ask the model no more, from within a tool or a hook of its turn."""
    if turn and turn.task:
        turn.stopped = True
        turn.task.cancel()


async def wait_until_idle(line: Connection) -> None:
    """Wait until no turn is open, for so long as a turn may last."""
    try:
        async with asyncio.timeout(LONGEST_TURN):
            while line.turn_is_open:
                await asyncio.sleep(0.02)
    except TimeoutError:
        log.warning("escalation.turn_is_long")


async def flushed(turn: Turn, hold: str) -> None:
    """Wait until what the model said before it called the tool is on its way. `hold` is what fills a silence."""
    parts = [part for message in turn.messages for part in message.parts]
    length = sum(len(part.content) for part in parts if isinstance(part, m.TextPart))
    try:
        async with asyncio.timeout(FLUSH):
            while len(turn.spoken_text.replace(f"{hold} ", "") if hold else turn.spoken_text) < length:
                await asyncio.sleep(0.002)
    except TimeoutError:
        log.warning("escalation.words_are_late")
