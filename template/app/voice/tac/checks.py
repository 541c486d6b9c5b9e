"""Twilio Agent Connect, the SDK that carries the calls."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kit.doctor.check import Context, check


@check(
    "TAC001",
    hint="Write TAC_ANALYTICS_DISABLED=true, in lower case, or leave it out: agent serve sets it.",
    docs="https://github.com/twilio/twilio-agent-connect-python",
)
def telemetry(context: Context) -> Iterator[str]:
    """TAC does not report how the agent is used."""
    given = os.environ.get("TAC_ANALYTICS_DISABLED", "true")
    if given != "true":
        yield f"TAC_ANALYTICS_DISABLED is {given!r}: TAC reports to Segment unless it is exactly 'true'."
