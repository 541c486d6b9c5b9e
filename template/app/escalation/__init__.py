"""Level 4: a human takes over.

Whoever asks for it (the caller, the model, a sensitive topic, failures in a row, a signal), the caller is told, and the
conversation becomes a task of TaskRouter. It neither listens nor helps while a human speaks: Twilio does not offer that
(November 2026). How a call leaves, and how a conversation in writing does, stands in a module for each.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from fastapi import APIRouter
from pydantic import Field
from pydantic_ai import messages as m

from agent import handoff
from app.capability import Capability, Services
from app.escalation.payload import Payload
from app.escalation.state import Record, Records
from app.escalation.transfer import Transfer
from app.escalation.turns import is_in_turn, wait_until_idle
from app.escalation.webhooks import routes
from app.runtime import TOOL_FAILED
from app.session import Action, Session
from app.settings import Settings


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

    def __init__(self, services: Services) -> None:
        self.options = services.settings
        self.store = services.store
        self.records = Records(services.store)
        self.transfers: list[Transfer] = [kind(services, self.records) for kind in services.parts_of(Transfer)]
        self._events: set[asyncio.Task[None]] = set()

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    @property
    def counts(self) -> Counter[str]:
        return self.records.counts

    @property
    def working(self) -> set[asyncio.Task[None]]:
        """What goes on in the background."""
        return self._events.union(*(way.working for way in self.transfers))

    def routes(self) -> APIRouter:
        router = routes(self.options, self.records, self.store, self.transfers, self._events)
        for way in self.transfers:
            router.include_router(way.routes())
        return router

    def way(self, session: Session) -> Transfer:
        return next(way for way in self.transfers if way.spoken == session.connection.spoken)

    def actions(self, session: Session) -> Mapping[str, Action]:
        async def escalate(reason_code: str, summary: str = "") -> bool:
            return await self.escalate(session, reason_code, summary)

        return {"escalate": escalate}

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        async def transfer_to_human(reason: str = "caller_asked", summary: str = "") -> str:
            """Connect the caller with a human and leave the conversation. Use it when the caller asks for a person, is
            upset, or needs what none of your tools can do. It tells the caller; say nothing afterwards.

            Args:
                reason: why, in one to three words, as in caller_asked or billing_dispute.
                summary: what the human should know, in one or two sentences. No card numbers, nothing about health.
            """
            await self.escalate(session, reason, summary)
            return "The caller is being connected."

        return [transfer_to_human]

    async def is_with_human(self, session: Session) -> bool:
        return await self.way(session).taken(session)

    async def context(self, session: Session, text: str) -> str | None:
        """Some things are not left to the model. What they are about stays out of the task: it may concern health."""
        way = self.way(session)
        if begun := await way.begun(session):
            await way.again(session, begun)
        elif any(word.casefold() in text.casefold() for word in handoff.SENSITIVE):
            await self.escalate(session, "sensitive_topic")
        elif handoff.FAILURES and failures(session.history, session.connection.apology) >= handoff.FAILURES:
            await self.escalate(session, "repeated_failure")
        return None

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        return await self.way(session).on_handoff(session, handoff)

    async def on_end(self, session: Session) -> None:
        await self.way(session).on_end(session)

    async def close(self) -> None:
        for way in self.transfers:
            await way.close()

    async def escalate(self, session: Session, reason_code: str, summary: str = "") -> bool:
        """Bring the caller to a human. From outside a turn it waits until the agent has finished speaking."""
        way = self.way(session)
        if await way.begun(session):
            return True
        if not session.connection.open:
            return False
        record = Record(payload=Payload.of(session, reason_code, summary), since=session.now())
        if not await way.begin(session, record):
            return True
        if not is_in_turn(session):
            await wait_until_idle(session.connection)
            if record != await way.begun(session):  # somebody else was quicker
                return True
        return await way.hand_over(session, record)


def failures(history: Sequence[m.ModelMessage], apology: str) -> int:
    """How many of the last turns went wrong in a row: a tool failed, or no model answered and `apology` was said."""
    count, wrong = 0, False
    for part in (part for message in reversed(history) for part in message.parts):
        if isinstance(part, m.ToolReturnPart):
            wrong = wrong or str(part.content).startswith(TOOL_FAILED.partition("{")[0])
        elif isinstance(part, m.TextPart):
            wrong = wrong or apology in part.content
        elif isinstance(part, m.UserPromptPart):
            if not wrong:
                break
            count, wrong = count + 1, False
    return count
