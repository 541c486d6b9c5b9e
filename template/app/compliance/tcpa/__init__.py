"""TCPA: calls of an artificial voice to people in the USA. Not legal advice.

47 CFR 64.1200, and FCC 24-17 of 2024-02-08, by which an AI voice is an artificial one: written consent for calls that
sell, prior express consent for others; do-not-call lists of at most 31 days; a toll-free number on answering machines.
Courts have split over these tiers since 2025: the stricter ones are held. Sources as of 2026-11-28: legal guide of
RobStrayer/voice-agent-skills. States: hours.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from pathlib import Path
from typing import Self

from pydantic import Field

from app.capability import Services
from app.compliance.tcpa.hours import HOURS, Row
from app.compliance.tcpa.lists import DoNotCallList
from app.outbound import CallSettings
from app.outbound.contacts import Contact
from app.outbound.gate import Cap, Hours
from app.outbound.phrases import phrases
from app.outbound.places import state_of, zones_of
from app.outbound.states import STATES
from app.outbound.terms import Regime, Terms

MAX_LIST_AGE = 31  # days; 47 CFR 64.1200(c)(2)(i)(D)


class TcpaSettings(CallSettings):
    callback_number: str = Field(
        alias="AGENT_CALLBACK_NUMBER",
        pattern=r"^\+18(00|33|44|55|66|77|88)\d{7}$",
        examples=["+18005550123"],
        description="Write a toll-free number that leads to this agent, as in +18005550123.",
    )
    do_not_call_file: Path | None = Field(
        None,
        alias="AGENT_DO_NOT_CALL_FILE",
        description="Write the path of your do-not-call list; its first line is # as of 2026-11-20.",
    )


class Tcpa(Regime):
    settings = TcpaSettings

    def __init__(self, services: Services) -> None:
        self.now = services.now
        self.list = DoNotCallList(services.settings.do_not_call_file)

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(services)

    async def tighten(self, contact: Contact, terms: Terms) -> Terms:
        terms = replace(terms, reassigned=await reassigned(contact))
        if contact.purpose != "telemarketing":
            return terms
        terms = replace(
            terms.with_consent("written"),
            max_list_age=MAX_LIST_AGE,
            listed=self.list.has(contact.number),
            list_age=self.list.age(self.now()),
        )
        for state in dict.fromkeys(filter(None, [contact.state, state_of(contact.number)])):
            terms = with_state(terms, state, contact)
        return terms


def with_state(terms: Terms, state: str, contact: Contact) -> Terms:
    """The terms with the row of a state, if it has one."""
    row = HOURS.get(state)
    if row is None:
        return terms
    terms = terms.with_hours(*hours_of(row))
    if row.calls:
        terms = terms.with_cap(Cap(calls=row.calls, hours=24))
    if row.by_area_code:
        presumed = zones_of(contact.number) or STATES[state].zones
        terms = replace(terms, zones=tuple(dict.fromkeys([*terms.zones, *presumed])))
    return terms


def hours_of(row: Row) -> list[Hours]:
    """The hours of a row: those of `every` day, but for Saturday and Sunday with their own."""
    own = {day: span for day, span in ((5, row.saturday), (6, row.sunday)) if span is not None}
    spans = [(row.every, tuple(day for day in range(7) if day not in own)), *((own[day], (day,)) for day in own)]
    found = []
    for span, days in spans:
        if span:
            start, end = map(time.fromisoformat, span.split("-"))
            found.append(Hours(start=start, end=end, days=days))
    return found


async def reassigned(contact: Contact) -> bool | None:
    """What `is_reassigned` of agent/outbound.py says; False without one. A function that raises denies the call."""
    ask = getattr(phrases.own, "is_reassigned", None)
    if ask is None:
        return False
    since: datetime | None = contact.consent_at
    found = await ask(contact.number, since)
    return found if isinstance(found, bool) else None
