"""End a turn from a tool or a hook: add the last sentence, stop the model, or wait for its end; count failed turns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from pydantic_ai import messages as m

from app.connection import Connection
from app.runtimes import TOOL_FAILED
from app.session import Session, this_session
from app.turn import Turn

log = structlog.get_logger()

TURN_TIMEOUT = 30.0  # seconds that a caller of wait_until_idle waits
FLUSH_TIMEOUT = 1.0  # seconds that an announcement waits for the model's text before it


def is_in_turn(session: Session) -> bool:
    """Whether this code runs in a turn of `session`: in a tool or in `context`. A signal runs outside."""
    try:
        return this_session() is session
    except LookupError:
        return False


async def speak_in_turn(session: Session, turn: Turn, text: str) -> None:
    """Append `text` to the agent's reply."""
    await flushed(turn, session.connection.hold)
    added = f" {text}" if turn.spoken_text else text
    turn.spoken_text += added
    await session.connection.append_to_turn(added)


def cancel_model(turn: Turn | None) -> None:
    """Cancel the model's run, from a tool or a hook of its turn."""
    if turn and turn.task:
        turn.stopped = True
        turn.task.cancel()


async def wait_until_idle(connection: Connection) -> None:
    """Wait until no turn is open, at most TURN_TIMEOUT."""
    try:
        async with asyncio.timeout(TURN_TIMEOUT):
            while connection.turn_is_open:
                await asyncio.sleep(0.02)
    except TimeoutError:
        log.warning("turn.not_idle")


async def flushed(turn: Turn, hold: str) -> None:
    """Wait until the text that the model wrote before its tool call is sent. `hold` is the phrase for a pause."""
    parts = [part for message in turn.messages for part in message.parts]
    length = sum(len(part.content) for part in parts if isinstance(part, m.TextPart))
    try:
        async with asyncio.timeout(FLUSH_TIMEOUT):
            while len(turn.spoken_text.replace(f"{hold} ", "") if hold else turn.spoken_text) < length:
                await asyncio.sleep(0.002)
    except TimeoutError:
        log.warning("turn.not_flushed")


def failures(history: Sequence[m.ModelMessage], apology: str) -> int:
    """The number of failed turns at the end of `history`: a tool failed, or the agent answered with `apology`."""
    count, failed = 0, False
    for part in (part for message in reversed(history) for part in message.parts):
        if isinstance(part, m.ToolReturnPart):
            failed = failed or str(part.content).startswith(TOOL_FAILED.partition("{")[0])
        elif isinstance(part, m.TextPart):
            failed = failed or apology in part.content
        elif isinstance(part, m.UserPromptPart):
            if not failed:
                break
            count, failed = count + 1, False
    return count
