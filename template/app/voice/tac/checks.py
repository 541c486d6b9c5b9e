"""Checks of Twilio Agent Connect, the SDK of the calls."""

from __future__ import annotations

import os
from collections.abc import Iterator

from kit.doctor.check import Context, check


@check(
    "TAC001",
    hint="Write TAC_ANALYTICS_DISABLED=true, in lower case, or leave it out: agent serve sets it.",
    docs="https://github.com/twilio/twilio-agent-connect-python",
)
def telemetry_is_off(context: Context) -> Iterator[str]:
    """TAC sends no usage data."""
    value = os.environ.get("TAC_ANALYTICS_DISABLED", "true")
    if value != "true":
        yield f"TAC_ANALYTICS_DISABLED is {value!r}: TAC reports to Segment unless it is exactly 'true'."
