"""States whose hours for calls that sell something are stricter than 8:00 to 21:00. Not legal advice.

No statute was opened. Sources: legal guide of RobStrayer/voice-agent-skills, 2026-09-30 (guide); and, as searches of
2026-11-29 quote them, dropcowboy.com/state-compliance of 2025-11-01 and usestello.com/compliance of 2026-04-08 (both:
they agree). Where sources differ, the stricter one stands. Holidays are not held, nor disputed rows (PA).
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """Local hours; "" is a day without calls, and None one like the others."""

    source: str
    every: str
    saturday: str | None = None
    sunday: str | None = None
    calls: int | None = None  # at most so many in 24 hours
    by_area_code: bool = False  # the zones of the area code count too, also where another one is stored


HOURS = {
    "AL": Row("both", "08:00-20:00", sunday=""),
    "CA": Row("usestello", "09:00-21:00"),
    "CT": Row("both", "09:00-20:00"),
    "FL": Row("guide", "08:00-20:00", calls=3, by_area_code=True),
    "IL": Row("usestello", "09:00-21:00"),
    "KY": Row("both", "10:00-21:00"),
    "LA": Row("both", "08:00-20:00", sunday=""),
    "MA": Row("both", "08:00-20:00"),
    "MD": Row("guide", "08:00-20:00", calls=3),
    "MI": Row("both", "09:00-21:00"),
    "MN": Row("both", "09:00-21:00"),
    "MS": Row("both", "08:00-20:00", sunday=""),
    "NM": Row("dropcowboy", "09:00-21:00"),
    "NV": Row("dropcowboy", "09:00-20:00"),
    "OK": Row("guide", "08:00-20:00", calls=3),
    "RI": Row("dropcowboy", "09:00-18:00", saturday="10:00-17:00", sunday=""),
    "TX": Row("guide", "09:00-21:00", sunday="12:00-21:00"),
}
