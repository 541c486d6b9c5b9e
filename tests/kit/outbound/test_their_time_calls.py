"""The model knows what time it is for the other party, if their number says it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from kit.agent_app import build_app
from kit.caller import dial_app
from kit.scenario import last_instructions

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("caller", "said"),
    [
        ("+442079460018", "it is Monday, 12:00 (Europe/London) for them"),
        ("+12125550123", "it is Monday, 07:00 (America/New_York) for them"),
        ("+18005550199", ""),  # toll-free: any zone
        ("+18505550123", ""),  # Florida has two
        ("+493012345678", ""),  # that of the settings
        ("anonymous", ""),
    ],
)
async def test_one_zone_is_said_and_several_are_not(caller: str, said: str) -> None:
    app = build_app(now=lambda: NOON, time_zone=ZoneInfo("Europe/Berlin"))
    async with dial_app(app, account=app.state.account, caller=caller) as call:
        await call.says("Hello")
        instructions = last_instructions(call.session)
    assert "13:00 Europe/Berlin" in instructions
    assert said in instructions and ("for them" in instructions) == bool(said)
