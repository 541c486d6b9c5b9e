"""Where a called person may be: time zones, and the state of the USA, by what is stored or else by the number."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import phonenumbers
import yaml
from phonenumbers import timezone

UNKNOWN = "Etc/Unknown"  # of phonenumbers
MAX_ZONES = 6  # more of them mean that the number says nothing, as one that is toll-free


@cache
def states() -> dict[str, Any]:
    """`states.yml`: the zones and area codes of each state."""
    table: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "states.yml").read_text(encoding="utf-8"))
    return table


@cache
def state_by_area() -> dict[str, str]:
    return {str(area): state for state, row in states().items() for area in row["areas"]}


def state_of(number: str) -> str | None:
    """The state of the USA that the area code of an E.164 number belongs to."""
    return state_by_area().get(number[2:5]) if number.startswith("+1") else None


def zones_of_state(state: str) -> tuple[str, ...]:
    return tuple(states()[state]["zones"])


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
    return tuple(sorted({*found, *(zones_of_state(state) if state else ())}))
