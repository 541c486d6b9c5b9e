"""An escalation: the payload for the human, the state machine, and the records in the store.

The payload is typed, versioned and bounded, without card or social security numbers. The states:

    requested -> briefing -> queued -> accepted -> completed
    from any state that is not final: completed, abandoned; before accepted: timed_out, no_worker_available

Twilio's callbacks arrive in any order, more than once and at any server process: the state is in the store, and only
moves forward.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Container
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import uuid4
from weakref import WeakValueDictionary

import structlog
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from app.escalation.handoff import handoff
from app.log import SEPARATOR, without_cards
from app.session import Session
from app.store import Store

log = structlog.get_logger()

MAX_SUMMARY = 400  # characters: an attribute of a task, not a transcript
BETWEEN = rf"{SEPARATOR}{{0,3}}"
SSN = re.compile(rf"(?<!\d)(?!000|666|9)\d{{3}}{BETWEEN}(?!00)\d{{2}}{BETWEEN}(?!0000)\d{{4}}(?!\d)")
CALL_TTL = 24 * 3600  # seconds that the record of a call is stored
TEXT_TTL = 7 * CALL_TTL  # seconds, for a text conversation: customers answer days later
BEGIN_TTL = 5.0  # seconds that a server process may hold the claim to begin an escalation
STORE_TIMEOUT = 0.5  # seconds for one read or write; on timeout the transfer continues unsaved


def redact(text: str) -> str:
    """`text` without digits that may be a card or a social security number. The human can ask for a lost number."""
    return SSN.sub("[social security number]", without_cards(text))


def shortened(value: Any) -> str:
    """Redacted, on one line, at most MAX_SUMMARY characters."""
    text = " ".join(redact(str(value)).split())
    return text if len(text) <= MAX_SUMMARY else f"{text[: MAX_SUMMARY - 1]}…"


def to_code(value: Any) -> str:
    """A reason in lower case and underscores, so that TaskRouter can compare it."""
    return re.sub(r"[^a-z0-9]+", "_", redact(str(value)).lower()).strip("_")[:64] or "unspecified"


Skill = Annotated[str, Field(min_length=1, max_length=64)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hints(Strict):
    """Select the worker. A task with a higher `priority` goes first."""

    skills: list[Skill] = Field([], max_length=8)
    language: str | None = Field(None, max_length=16)
    priority: int = Field(0, ge=0, le=1000)
    vip: bool = False


class Payload(Strict):
    """Version 1. The handoff data of a call, the attributes of a task, and part of the record."""

    version: Literal[1] = 1
    channel: Literal["voice", "sms", "whatsapp", "rcs", "chat"] = "voice"
    conversation_id: str | None = Field(None, max_length=64)
    profile_id: str | None = Field(None, max_length=64)
    reason_code: Annotated[str, BeforeValidator(to_code)]
    routing_hints: Hints = Hints()
    summary: Annotated[str, BeforeValidator(shortened)] = ""

    @classmethod
    def of(cls, session: Session, reason_code: str, summary: str) -> Payload:
        """The payload of a conversation. Invalid routing of agent/handoff.py is left out and logged."""
        reason_code = to_code(reason_code)
        hints = Hints()
        try:
            hints = Hints(**{"language": language(session), **handoff.routing(session, reason_code)})
        except (ValidationError, TypeError) as error:
            log.error("handoff.routing_ignored", call=session.id, error=type(error).__name__)
        except Exception:
            log.exception("handoff.routing_ignored", call=session.id)
        channel: Any = "voice" if session.connection.spoken else session.parameters["channel"].lower()
        return cls(
            channel=channel,
            conversation_id=session.conversation_id,
            profile_id=session.profile_id,
            reason_code=reason_code,
            routing_hints=hints,
            summary=session.filtered(summary),
        )

    def attributes(self) -> dict[str, Any]:
        """Task attributes, flat for TaskRouter's expressions; it adds `call_sid`, `from` and `to` for a call. On a call
        that the agent makes, `from` is the agent's number: the customer is `customerAddress`."""
        attributes = self.model_dump(exclude_none=True)
        hints = attributes.pop("routing_hints")
        return {**attributes, **hints}


def language(session: Session) -> str | None:
    """The language of the session. None for "multi", which names no language."""
    return None if session.language == "multi" else session.language


class State(StrEnum):
    REQUESTED = "requested"
    BRIEFING = "briefing"  # the agent is telling the caller
    QUEUED = "queued"
    ACCEPTED = "accepted"  # a worker has the conversation; the agent is silent from here on
    COMPLETED = "completed"
    TIMED_OUT = "timed_out"  # no worker accepted in time
    NO_WORKER_AVAILABLE = "no_worker_available"  # the queue is full or broken
    ABANDONED = "abandoned"  # the caller hung up first, or Twilio closed the text conversation


FINAL_STATES = {State.COMPLETED, State.TIMED_OUT, State.NO_WORKER_AVAILABLE, State.ABANDONED}
NEXT: dict[State, set[State]] = {
    State.REQUESTED: {State.BRIEFING, State.QUEUED, *FINAL_STATES},
    State.BRIEFING: {State.QUEUED, State.ACCEPTED, *FINAL_STATES},
    State.QUEUED: {State.ACCEPTED, *FINAL_STATES},
    State.ACCEPTED: {State.COMPLETED, State.ABANDONED},
}


class Record(BaseModel):
    """One escalation; a text conversation may have several in sequence. `since` is its start (UTC).

    `way_out` is the caller's alternative when no worker accepts, None without a number to call back; `recording` is the
    URL of a voicemail.
    """

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    id: str = Field(default_factory=lambda: uuid4().hex)
    since: datetime | None = None
    payload: Payload
    state: State = State.REQUESTED
    way_out: Literal["voicemail", "callback"] | None = None
    recording: str | None = None

    def may_become(self, state: State) -> bool:
        return state in NEXT.get(self.state, set())


class Records:
    """Escalations by session id (CallSid, or conversation id of a text conversation), shared by all server processes.

    A record that the store does not read or write within STORE_TIMEOUT is logged and lost, and the transfer continues.

    `counts` is the number of escalations that reached each state in this process, by "<channel> <state>".
    """

    def __init__(self, store: Store, count: Callable[..., None] = lambda *_, **__: None) -> None:
        self.store = store
        self.count = count
        self.counts: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def _lock_of(self, session_id: str) -> asyncio.Lock:
        """A lock for each conversation, so that a slow store delays only that one."""
        return self._locks.setdefault(session_id, asyncio.Lock())

    async def get(self, session_id: str) -> Record | None:
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                text = await self.store.get(f"escalation:{session_id}")
            return Record.model_validate_json(text) if text else None
        except (TimeoutError, ValidationError) as error:
            log.error("escalation.unreadable", call=session_id, error=type(error).__name__)
            return None

    async def put(self, session_id: str, record: Record) -> None:
        seconds = CALL_TTL if record.payload.channel == "voice" else TEXT_TTL
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                await self.store.put(f"escalation:{session_id}", record.model_dump_json(), seconds)
        except TimeoutError:
            log.error("escalation.not_saved", call=session_id, state=record.state)

    async def save_and_count(self, session_id: str, record: Record) -> None:
        """Save an escalation in its new state, count and log it."""
        await self.put(session_id, record)
        self.counts[f"{record.payload.channel} {record.state}"] += 1
        channel = "voice" if record.payload.channel == "voice" else "messaging"
        self.count("handoff", channel=channel, outcome=record.state.value)
        log.info("escalation", call=session_id, channel=record.payload.channel, state=record.state)

    async def begin(self, session_id: str, record: Record, replaceable: Container[State]) -> bool:
        """Save a new escalation. False when one exists whose state is not in `replaceable`."""
        key = f"escalation-begins:{session_id}"
        if not await self.store.claim(key, BEGIN_TTL):
            return False
        try:
            existing = await self.get(session_id)
            if existing and existing.state not in replaceable:
                return False
            await self.save_and_count(session_id, record)
            return True
        finally:
            await self.store.release(key)

    async def move(self, session_id: str, state: State, escalation_id: str | None = None) -> Record | None:
        """Move the escalation of a conversation to `state`, if its present state allows that. None when there is no
        record, or one with another id than `escalation_id`."""
        async with self._lock_of(session_id):
            record = await self.get(session_id)
            if record is None or (escalation_id and escalation_id != record.id):
                log.warning("escalation.unknown", call=session_id, state=state)
                return None
            return await self._advance(session_id, record, state)

    async def queue(self, session_id: str, payload: Payload) -> Record:
        """Move the escalation of a call to the queue. A call that was turned away before it began has no record yet,
        and that of another may be lost: it begins here."""
        async with self._lock_of(session_id):
            if record := await self.get(session_id):
                return await self._advance(session_id, record, State.QUEUED)
            await self.put(session_id, record := Record(payload=payload, state=State.QUEUED))
            return record

    async def _advance(self, session_id: str, record: Record, state: State) -> Record:
        if record.may_become(state):
            record.state = state
            await self.save_and_count(session_id, record)
        return record

    async def update_fields(self, session_id: str, **fields: Any) -> Record | None:
        """Set `way_out` or `recording`. None when there is no record."""
        async with self._lock_of(session_id):
            record = await self.get(session_id)
            if record:
                record = record.model_copy(update=fields)
                await self.put(session_id, record)
            return record
