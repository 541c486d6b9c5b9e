"""The state machine of an escalation, and its records in the store.

    requested -> briefing -> queued -> accepted -> completed
    and from any state before accepted: timed_out, no_worker_available, abandoned

Twilio's callbacks arrive in any order, more than once and at any worker: the state is in the store, and only moves
forward.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Container
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import uuid4
from weakref import WeakValueDictionary

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.escalation.payload import Payload
from app.store import Store

log = structlog.get_logger()

KEPT = 24 * 3600  # seconds that the record of a call is stored
KEPT_IN_WRITING = 7 * KEPT  # seconds, for a conversation in writing: customers answer days later
BEGINNING = 5.0  # seconds that a worker may hold the claim to begin an escalation
STORE_TIMEOUT = 0.5  # seconds for one read or write; a transfer goes on without the store


class State(StrEnum):
    REQUESTED = "requested"
    BRIEFING = "briefing"  # the agent is telling the caller
    QUEUED = "queued"
    ACCEPTED = "accepted"  # a worker has the call; the agent is silent from here on
    COMPLETED = "completed"
    TIMED_OUT = "timed_out"  # no worker accepted in time
    NO_WORKER_AVAILABLE = "no_worker_available"  # the queue is full or broken
    ABANDONED = "abandoned"  # the caller hung up first


FINAL_STATES = {State.COMPLETED, State.TIMED_OUT, State.NO_WORKER_AVAILABLE, State.ABANDONED}
NEXT: dict[State, set[State]] = {
    State.REQUESTED: {State.BRIEFING, State.QUEUED, *FINAL_STATES},
    State.BRIEFING: {State.QUEUED, State.ACCEPTED, *FINAL_STATES},
    State.QUEUED: {State.ACCEPTED, *FINAL_STATES},
    State.ACCEPTED: {State.COMPLETED, State.ABANDONED},
}


class Record(BaseModel):
    """One escalation; a conversation in writing may have several in sequence. `since` is its start (UTC).

    `way_out` is the caller's alternative when no worker accepts, `recording` the URL of a voicemail.
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
    """Escalations by CallSid, or by conversation id in writing, shared by all servers. When the store is slow or
    fails, the record is lost, the call is not.

    `counts` is the number of escalations that reached each state in this process, by "<channel> <state>".
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.counts: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def _one_at_a_time(self, call_sid: str) -> asyncio.Lock:
        """A lock for each call, so that a slow store delays only that call."""
        return self._locks.setdefault(call_sid, asyncio.Lock())

    async def get(self, call_sid: str) -> Record | None:
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                text = await self.store.get(f"escalation:{call_sid}")
            return Record.model_validate_json(text) if text else None
        except (TimeoutError, ValidationError) as error:
            log.error("escalation.unreadable", call=call_sid, error=type(error).__name__)
            return None

    async def put(self, call_sid: str, record: Record) -> None:
        seconds = KEPT if record.payload.channel == "voice" else KEPT_IN_WRITING
        try:
            async with asyncio.timeout(STORE_TIMEOUT):
                await self.store.put(f"escalation:{call_sid}", record.model_dump_json(), seconds)
        except TimeoutError:
            log.error("escalation.not_kept", call=call_sid, state=record.state)

    async def reached(self, call_sid: str, record: Record) -> None:
        """Save an escalation in its new state, count and log it."""
        await self.put(call_sid, record)
        self.counts[f"{record.payload.channel} {record.state}"] += 1
        log.info("escalation", call=call_sid, channel=record.payload.channel, state=record.state)

    async def begin(self, call_sid: str, record: Record, over: Container[State]) -> bool:
        """Save a new escalation. False when one exists whose state is not in `over`."""
        key = f"escalation-begins:{call_sid}"
        if not await self.store.claim(key, BEGINNING):
            return False
        try:
            known = await self.get(call_sid)
            if known and known.state not in over:
                return False
            await self.reached(call_sid, record)
            return True
        finally:
            await self.store.release(key)

    async def move(self, call_sid: str, state: State, id: str | None = None) -> Record | None:
        """Move the escalation of a call to `state`, if its present state allows that. None when there is no record, or
        its id is not `id`."""
        async with self._one_at_a_time(call_sid):
            record = await self.get(call_sid)
            if record is None or (id and id != record.id):
                log.warning("escalation.unknown", call=call_sid, state=state)
                return None
            if record.may_become(state):
                record.state = state
                await self.reached(call_sid, record)
            return record

    async def note(self, call_sid: str, **found: Any) -> Record | None:
        """Add `way_out` or `recording`."""
        async with self._one_at_a_time(call_sid):
            record = await self.get(call_sid)
            if record:
                record = record.model_copy(update=found)
                await self.put(call_sid, record)
            return record
