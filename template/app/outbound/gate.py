"""The gate before an outbound call: consent, do-not-call, quiet hours, attempts. Not legal advice.

`judge` is pure. `Facts` is everything that it needs, as plain data: the ledger stores it with each verdict, so that the
verdict can be recomputed later, also after the rules have changed. Whatever is not known denies the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict

Tier = Literal["none", "oral", "written"]
Purpose = Literal["telemarketing", "information", "debt"]
TIERS: dict[Tier, int] = {"none": 0, "oral": 1, "written": 2}
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)  # Monday is 0


class Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Hours(Data):
    """Local hours of some weekdays: from `start`, and before `end`."""

    start: time
    end: time
    days: tuple[int, ...] = EVERY_DAY

    def contain(self, local: datetime) -> bool:
        return local.weekday() in self.days and self.start <= local.time() < self.end


class Cap(Data):
    """At most `calls` in so many hours, or in so many days of the person's calendar, today included.

    `each` says what is counted: calls to the person, or those about one debt.
    """

    calls: int
    hours: int = 0
    days: int = 0
    each: Literal["person", "debt"] = "person"


class Past(Data):
    """What the ledger knows of a person and, where there is one, of the debt. Times are UTC."""

    consent: Tier = "none"
    calls: tuple[datetime, ...] = ()
    debt_calls: tuple[datetime, ...] = ()
    conversations: tuple[datetime, ...] = ()
    called_in_campaign: bool = False
    unclear: bool = False  # that call has no known outcome


class Facts(Data):
    """The inputs of a verdict. Nothing in it names a person, a number or words."""

    at: datetime
    purpose: Purpose
    past: Past
    refused: str | None = None  # why the person is on the own do-not-call list
    required: Tier = "oral"
    listed: bool | None = False  # on a do-not-call list of others; None: the list could not be read
    list_age: int | None = None  # days
    max_list_age: int | None = None  # days; None: no list is needed
    reassigned: bool | None = False  # the number has another owner since the consent; None: not known
    zones: tuple[str, ...] = ()  # of the person; with several, each must allow the call
    hours: tuple[tuple[Hours, ...], ...] = ()  # of each rule, one of its hours must contain the call
    inconvenient: tuple[Hours, ...] = ()  # what the person has asked for
    caps: tuple[Cap, ...] = ()
    days_after_conversation: int = 0  # in which no call may follow; its own day is the first


class Verdict(NamedTuple):
    """`gate` is the one that has denied the call, or "". `reason` has no personal data."""

    allowed: bool
    gate: str = ""
    reason: str = ""


def judge(facts: Facts) -> Verdict:
    """The first gate that denies the call, or an allowed call."""
    for name, gate in GATES.items():
        if reason := gate(facts):
            return Verdict(False, name, reason)
    return Verdict(True)


def once(facts: Facts) -> str | None:
    """A campaign calls each person once, also when it is started again after a crash."""
    if not facts.past.called_in_campaign:
        return None
    return "called in this campaign, with no known outcome" if facts.past.unclear else "called in this campaign"


def consent(facts: Facts) -> str | None:
    if TIERS[facts.past.consent] >= TIERS[facts.required]:
        return None
    return f"the consent on record is {facts.past.consent}, and {facts.purpose} needs {facts.required}"


def do_not_call(facts: Facts) -> str | None:
    if facts.refused:
        return f"on the own do-not-call list: {facts.refused}"
    if facts.max_list_age is not None and (facts.listed is None or facts.list_age is None):
        return "no do-not-call list could be read"
    if facts.max_list_age is not None and not 0 <= (facts.list_age or 0) <= facts.max_list_age:
        return f"the do-not-call list is {facts.list_age} days old, at most {facts.max_list_age} are allowed"
    if facts.listed:
        return "on a do-not-call list"
    if facts.reassigned is not False:
        return "the number has another owner" if facts.reassigned else "it is not known whose number it is now"
    return None


def quiet_hours(facts: Facts) -> str | None:
    if not facts.zones:
        return "the time zone is not known: store one (column zone)"
    for zone in facts.zones:
        local = facts.at.astimezone(ZoneInfo(zone))
        if not all(any(hours.contain(local) for hours in rule) for rule in facts.hours):
            return f"it is {local:%A %H:%M} in {zone}, outside of {spoken(facts.hours)}"
        if any(hours.contain(local) for hours in facts.inconvenient):
            return f"it is {local:%A %H:%M} in {zone}, a time that the person has asked to leave out"
    return None


def attempts(facts: Facts) -> str | None:
    local = [(zone, facts.at.astimezone(ZoneInfo(zone)).date()) for zone in facts.zones]
    for cap in facts.caps:
        calls = facts.past.calls if cap.each == "person" else facts.past.debt_calls
        if cap.hours:
            counted = sum(facts.at - call < timedelta(hours=cap.hours) for call in calls)
        else:
            counted = max((in_days(calls, zone, day, cap.days) for zone, day in local), default=0)
        if counted >= cap.calls:
            window = f"{cap.hours} hours" if cap.hours else f"{cap.days} days"
            return f"{counted} calls in {window}, at most {cap.calls} are allowed for each {cap.each}"
    for zone, day in local:
        if in_days(facts.past.conversations, zone, day, facts.days_after_conversation):
            return f"a conversation in the last {facts.days_after_conversation} days"
    return None


def in_days(times: Iterable[datetime], zone: str, today: date, days: int) -> int:
    """How many of the times fall into the last `days` days of a zone's calendar, today included."""
    ages = [(today - at.astimezone(ZoneInfo(zone)).date()).days for at in times]
    return sum(age < days for age in ages)


def spoken(hours: Sequence[Sequence[Hours]]) -> str:
    """The hours of all rules, as in "08:00 to 21:00 and 08:00 to 20:00"."""
    rules = [", ".join(f"{each.start:%H:%M} to {each.end:%H:%M}" for each in rule) or "no hours" for rule in hours]
    return " and ".join(dict.fromkeys(rules)) or "all hours"


GATES: dict[str, Callable[[Facts], str | None]] = {
    "once": once,
    "do not call": do_not_call,  # before the consent, which a refusal withdraws
    "consent": consent,
    "quiet hours": quiet_hours,
    "attempts": attempts,
}
