"""How far a caller has come on the way to a human.

    requested -> briefing -> queued -> accepted -> completed
    or, from where it stands: timed_out, nobody_available, abandoned

Callbacks come in any order, more than once and to any worker: a state only ever moves forward, and lives in the store.
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

KEPT = 24 * 3600  # seconds, of a call
KEPT_IN_WRITING = 7 * KEPT  # people write back days later
BEGINNING = 5.0  # seconds after which another worker may begin an escalation that one has died over
PATIENCE = 0.5  # seconds that a caller may wait for the store: the way to a human does not depend on it


class State(StrEnum):
    REQUESTED = "requested"
    BRIEFING = "briefing"  # the caller is being told
    QUEUED = "queued"
    ACCEPTED = "accepted"  # a human has the call; the agent is silent from here on
    COMPLETED = "completed"
    TIMED_OUT = "timed_out"  # nobody accepted in time
    NOBODY_AVAILABLE = "nobody_available"  # the queue is full or broken
    ABANDONED = "abandoned"  # the caller hung up first


OVER = {State.COMPLETED, State.TIMED_OUT, State.NOBODY_AVAILABLE, State.ABANDONED}
NEXT: dict[State, set[State]] = {
    State.REQUESTED: {State.BRIEFING, State.QUEUED, *OVER},
    State.BRIEFING: {State.QUEUED, State.ACCEPTED, *OVER},
    State.QUEUED: {State.ACCEPTED, *OVER},
    State.ACCEPTED: {State.COMPLETED, State.ABANDONED},
}


class Record(BaseModel):
    """One escalation: a conversation in writing may have several, one after the other. `since` is when it began (UTC).

    `way_out` is what the caller was offered when nobody came, `recording` the URL of a message.
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
    """Escalations by CallSid, or by conversation where people write; for every worker. A store that is slow or broken
    costs the record, not the call.

    `counts` tells how many have reached each state on this worker, as in "sms queued".
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self.counts: Counter[str] = Counter()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def _one_at_a_time(self, call_sid: str) -> asyncio.Lock:
        """Of this call alone: no caller waits because the store is slow for others."""
        return self._locks.setdefault(call_sid, asyncio.Lock())

    async def get(self, call_sid: str) -> Record | None:
        try:
            async with asyncio.timeout(PATIENCE):
                text = await self.store.get(f"escalation:{call_sid}")
            return Record.model_validate_json(text) if text else None
        except (TimeoutError, ValidationError) as error:
            log.error("escalation.unreadable", call=call_sid, error=type(error).__name__)
            return None

    async def put(self, call_sid: str, record: Record) -> None:
        seconds = KEPT if record.payload.channel == "voice" else KEPT_IN_WRITING
        try:
            async with asyncio.timeout(PATIENCE):
                await self.store.put(f"escalation:{call_sid}", record.model_dump_json(), seconds)
        except TimeoutError:
            log.error("escalation.not_kept", call=call_sid, state=record.state)

    async def reached(self, call_sid: str, record: Record) -> None:
        """Keep an escalation that has come into another state."""
        await self.put(call_sid, record)
        self.counts[f"{record.payload.channel} {record.state}"] += 1
        log.info("escalation", call=call_sid, channel=record.payload.channel, state=record.state)

    async def begin(self, call_sid: str, record: Record, over: Container[State]) -> bool:
        """Keep a new escalation, unless there is one already whose state is not in `over`."""
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
        """The escalation of a call, moved to `state` if that lies ahead of it. None when it is not known, or has
        another id."""
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
