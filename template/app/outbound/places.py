"""Where a called person may be: time zones, and the state of the USA, by what is stored or else by the number."""

from __future__ import annotations

import phonenumbers
from phonenumbers import timezone

from app.outbound.states import STATES

UNKNOWN = "Etc/Unknown"  # of phonenumbers
MAX_ZONES = 6  # more of them mean that the number says nothing, as one that is toll-free


STATE_BY_AREA = {area: state for state, row in STATES.items() for area in row.areas.split()}


def state_of(number: str) -> str | None:
    """The state of the USA that the area code of an E.164 number belongs to."""
    return STATE_BY_AREA.get(number[2:5]) if number.startswith("+1") else None


def zones_of(number: str) -> tuple[str, ...]:
    """Every time zone in which the owner of an E.164 number may be; () when the number does not say it."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return ()
    found = timezone.time_zones_for_number(parsed)
    if UNKNOWN in found or len(found) > MAX_ZONES:
        return ()
    state = state_of(number)
    return tuple(sorted({*found, *(STATES[state].zones if state else ())}))
