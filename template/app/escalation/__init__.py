"""Level 4: a human takes the call.

Whoever asks for it (the caller, the model, a sensitive topic, failures in a row, a signal), the caller is told, the
call leaves ConversationRelay, and `<Enqueue>` makes it a task of TaskRouter. There is no way back to the agent after
that, and it neither listens nor helps while a human speaks: Twilio offers neither (November 2026).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import structlog
from fastapi import APIRouter
from pydantic import Field, ValidationError
from pydantic_ai import messages as m

from agent import handoff, words
from app.brain import TOOL_FAILED, Turn
from app.capability import Capability, Services
from app.escalation import voice
from app.escalation.payload import Payload
from app.escalation.state import Record, Records, State
from app.escalation.webhooks import routes
from app.session import Line, Offer, Session, this_session
from app.settings import Settings
from app.store import Store

log = structlog.get_logger()

LONGEST_TURN = 30.0  # seconds that a signal waits for the agent to finish what it is saying
FLUSH = 1.0  # seconds


class EscalationSettings(Settings):
    workflow_sid: str = Field(
        alias="TWILIO_WORKFLOW_SID",
        pattern="^WW[0-9a-f]{32}$",
        examples=["WW" + "0" * 32],
        description="Copy the SID of your TaskRouter workflow (WW and 32 characters).",
    )
    queue_timeout: int = Field(
        300,
        alias="AGENT_QUEUE_TIMEOUT",
        ge=10,
        le=4 * 3600,
        description="Write how many seconds a caller waits for a human, 10 to 14400.",
    )


class Escalation(Capability):
    settings = EscalationSettings
    spoken_only = True

    def __init__(self, settings: EscalationSettings, store: Store) -> None:
        self.options = settings
        self.store = store
        self.records = Records(store)

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services.settings, services.store)

    def routes(self) -> APIRouter:
        return routes(self.options, self.records, self.store, self.options.queue_timeout)

    def offers(self, session: Session) -> Mapping[str, Offer]:
        async def escalate(reason_code: str, summary: str = "") -> bool:
            return await self.escalate(session, reason_code, summary)

        return {"escalate": escalate}

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        async def transfer_to_human(reason: str = "caller_asked", summary: str = "") -> str:
            """Connect the caller with a human and leave the call. Use it when the caller asks for a person, is upset,
            or needs what none of your tools can do. It tells the caller; say nothing afterwards.

            Args:
                reason: why, in one to three words, as in caller_asked or billing_dispute.
                summary: what the human should know, in one or two sentences. No card numbers, nothing about health.
            """
            await self.escalate(session, reason, summary)
            return "The caller is being connected."

        return [transfer_to_human]

    async def context(self, session: Session, text: str) -> str | None:
        """Some things are not left to the model. What they are about stays out of the task: it may concern health."""
        if begun := begun_in(session):  # the caller spoke before the call had left, or its line dropped just then
            await self.hand_over(session, begun)
        elif any(word.casefold() in text.casefold() for word in handoff.SENSITIVE):
            await self.escalate(session, "sensitive_topic")
        elif handoff.FAILURES and failures(session.history) >= handoff.FAILURES:
            await self.escalate(session, "repeated_failure")
        return None

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        try:
            payload = Payload.model_validate(handoff)
        except ValidationError:
            return None  # a goodbye
        record = await self.records.move(session.id, State.QUEUED)
        if record is None:  # the store has lost it, or never had it
            await self.records.put(session.id, record := Record(payload=payload, state=State.QUEUED))
        session.state["escalation"] = record.model_dump(mode="json")
        return voice.enqueue(
            self.options.public_url, self.options.workflow_sid, payload, timeout=self.options.queue_timeout
        )

    async def on_end(self, session: Session) -> None:
        """Whoever hung up before the queue has abandoned it."""
        if begun_in(session):
            await self.records.move(session.id, State.ABANDONED)

    async def escalate(self, session: Session, reason_code: str, summary: str = "") -> bool:
        """Bring the caller to a human. From outside a turn it waits until the agent has finished speaking."""
        if begun_in(session):
            return True
        if not session.line.open:
            return False
        record = Record(payload=Payload.of(session, reason_code, summary))
        await self.keep(session, record)
        if not in_turn_of(session):
            await silence(session.line)
            if record != begun_in(session):  # somebody else was quicker
                return True
        return await self.hand_over(session, record)

    async def hand_over(self, session: Session, record: Record) -> bool:
        """The words, then the end of the agent's part. The model is asked no more: its words would come too late."""
        if not session.line.open:
            return False
        record.state = State.BRIEFING
        await self.keep(session, record)
        turn = session.turn if in_turn_of(session) else None
        if turn is None:
            await session.say(handoff.CONNECTING)
        else:
            await sent(turn)
            told = f" {handoff.CONNECTING}" if turn.said else handoff.CONNECTING
            turn.said += told
            await session.line.say(told)
        await session.line.end(record.payload.model_dump())
        if turn and turn.answer:
            turn.stopped = True
            turn.answer.cancel()
        return True

    async def keep(self, session: Session, record: Record) -> None:
        session.state["escalation"] = record.model_dump(mode="json")
        await self.records.put(session.id, record)
        log.info("escalation", call=session.id, state=record.state)


def begun_in(session: Session) -> Record | None:
    """The escalation that has begun on this call and has not reached the queue yet."""
    kept = session.state.get("escalation")
    record = Record.model_validate(kept) if kept else None
    return record if record and record.state in (State.REQUESTED, State.BRIEFING) else None


def in_turn_of(session: Session) -> bool:
    """Whether this runs for the model, in a tool or for its context; a signal does not."""
    try:
        return this_session() is session
    except LookupError:
        return False


async def silence(line: Line) -> None:
    """Wait until no turn is open, for so long as a turn may last."""
    try:
        async with asyncio.timeout(LONGEST_TURN):
            while line.turn_is_open:
                await asyncio.sleep(0.02)
    except TimeoutError:
        log.warning("escalation.turn_is_long")


async def sent(turn: Turn) -> None:
    """Wait until what the model said before it called the tool is on its way to the caller."""
    parts = [part for message in turn.exchanged for part in message.parts]
    length = sum(len(part.content) for part in parts if isinstance(part, m.TextPart))
    try:
        async with asyncio.timeout(FLUSH):
            while len(turn.said.replace(f"{words.HOLD} ", "")) < length:
                await asyncio.sleep(0.002)
    except TimeoutError:
        log.warning("escalation.words_are_late")


def failures(history: Sequence[m.ModelMessage]) -> int:
    """How many of the last turns went wrong in a row: a tool failed, or no model answered."""
    count, wrong = 0, False
    for part in (part for message in reversed(history) for part in message.parts):
        if isinstance(part, m.ToolReturnPart):
            wrong = wrong or str(part.content).startswith(TOOL_FAILED.partition("{")[0])
        elif isinstance(part, m.TextPart):
            wrong = wrong or words.APOLOGY in part.content
        elif isinstance(part, m.UserPromptPart):
            if not wrong:
                break
            count, wrong = count + 1, False
    return count
