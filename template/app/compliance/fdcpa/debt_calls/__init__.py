"""Conversations about debts: a notice that nothing interrupts, once the person is the right one, and an entry for each.

A conversation starts seven days without calls, whoever began it. The entry is written at the first words of the other
party: a call that breaks off counts too. Calls of the ledger say which debt it was about; others count for every debt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import structlog

from app.capability import Capability, Services
from app.compliance.fdcpa import sentences
from app.outbound import Outbound
from app.session import Session

log = structlog.get_logger()

STATE_KEY = "debt"  # in session.state: counted, notice ("", "pending", "heard")
UNVERIFIED = (
    "You do not know yet whether this is the person you want. Do not mention a debt, a creditor or the reason of the "
    "call, and do not confirm guesses. Ask for a detail that only that person knows, compare it with your tools, and "
    "then call person_confirmed. If it is another person, ask when the right one can be reached, and end the call."
)


class DebtCalls(Capability):
    spoken_only = True

    def __init__(self, services: Services) -> None:
        self.services = services

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    @property
    def outbound(self) -> Outbound:
        return next(each for each in self.services.capabilities if isinstance(each, Outbound))

    def relay_attributes(self) -> Mapping[str, str]:
        """`tokens-played` reports each text frame that was played."""
        return {"events": "tokens-played"}

    async def on_start(self, session: Session) -> None:
        session.state[STATE_KEY] = {"counted": False, "notice": ""}

    async def context(self, session: Session, text: str) -> str | None:
        state = session.state.get(STATE_KEY) or {"counted": False, "notice": ""}
        if not state["counted"]:
            session.state[STATE_KEY] = state = {**state, "counted": True}
            ledger, number, call = self.outbound.ledger, session.caller, session.id
            began = bool(session.state.get("outbound"))
            await self.outbound.keep(number, "conversation", lambda: ledger.record_conversation(number, call, began))
        if state["notice"] == "pending":
            await self.heard(session)
        return UNVERIFIED if not state["notice"] else None

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        async def person_confirmed() -> str:
            """Call this as soon as the person has proven who they are, by a detail that only they know, and before
            anything is said about a debt. The notice that the law asks for is then spoken."""
            state = session.state.get(STATE_KEY) or {"counted": True, "notice": ""}
            if not state["notice"]:
                session.state[STATE_KEY] = {**state, "notice": "pending"}
                await session.say(f"{sentences.MINI_MIRANDA} ", interruptible=False)
                log.info("debt.notice_said", call=session.id)
            return "The notice has been spoken. Do not repeat it. Now say why you call."

        return [person_confirmed]

    async def on_heard(self, session: Session, text: str, interrupted: bool) -> None:
        state = session.state.get(STATE_KEY)
        notice = " ".join(str(sentences.MINI_MIRANDA).split())
        if state and state["notice"] == "pending" and notice in " ".join(text.split()):
            await self.heard(session)

    async def heard(self, session: Session) -> None:
        """Keep in the ledger that the notice was spoken to the end: nothing can interrupt it."""
        session.state[STATE_KEY] = {**session.state[STATE_KEY], "notice": "heard"}
        ledger, number, call = self.outbound.ledger, session.caller, session.id
        wording = str(sentences.MINI_MIRANDA)
        await self.outbound.keep(number, "notice", lambda: ledger.record_notice(number, call, wording))
        log.info("debt.notice_heard", call=session.id)
