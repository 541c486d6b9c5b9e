"""What has to hold for a call to one contact. A regulation is a `Regime` that tightens it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from datetime import time
from typing import Any, Self

from app.capability import Services
from app.outbound.contacts import Contact, hours_in
from app.outbound.gate import TIERS, Cap, Hours, Tier
from app.outbound.places import zones_of

# 47 CFR 64.1200(c)(1) and 12 CFR 1006.6(b)(1)(i) of the USA, and decent elsewhere.
DAYTIME = Hours(start=time(8), end=time(21))


@dataclass(frozen=True)
class Terms:
    """The fields of `Facts` that do not come from the ledger."""

    required: Tier
    zones: tuple[str, ...]
    hours: tuple[tuple[Hours, ...], ...]
    caps: tuple[Cap, ...]
    inconvenient: tuple[Hours, ...] = ()
    listed: bool | None = False
    list_age: int | None = None
    max_list_age: int | None = None
    reassigned: bool | None = False
    days_after_conversation: int = 0

    def with_consent(self, tier: Tier) -> Terms:
        """At least this tier."""
        return self if TIERS[self.required] >= TIERS[tier] else replace(self, required=tier)

    def with_hours(self, *hours: Hours) -> Terms:
        """One of these hours must contain the call, beside those of other rules."""
        return replace(self, hours=tuple(dict.fromkeys([*self.hours, hours])))

    def with_cap(self, cap: Cap) -> Terms:
        return replace(self, caps=tuple(dict.fromkeys([*self.caps, cap])))


class Regime(ABC):
    """A regulation that outbound calls are under."""

    @classmethod
    @abstractmethod
    def build(cls, services: Services) -> Self: ...

    @abstractmethod
    async def tighten(self, contact: Contact, terms: Terms) -> Terms:
        """The terms with what this regulation asks for. What it cannot find out must deny the call."""

    def message(self, number: str) -> str | None:
        """The whole of what an answering machine may hear, or None for that of agent/outbound.py."""
        return None


def terms_of(contact: Contact, settings: Any) -> Terms:
    """What always holds: a consent, daytime where the person is, and AGENT_CALLS_PER_DAY."""
    return Terms(
        required="oral",
        zones=(contact.zone,) if contact.zone else zones_of(contact.number),
        hours=((DAYTIME,),),
        caps=(Cap(calls=settings.calls_per_day, hours=24),),
        inconvenient=hours_in(contact.inconvenient),
    )
