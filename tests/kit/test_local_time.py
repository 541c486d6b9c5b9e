"""The model and the tools know the time of the owner, on every channel and runtime."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from app import this_session
from app.environment import SettingsError, load
from kit import defaults
from kit.testing import Begin

NOON = datetime(2026, 3, 8, 12, 30, tzinfo=UTC)  # the day on which daylight saving time begins in the USA


def clock() -> str:
    """Say what time it is."""
    return this_session().now().isoformat()


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("UTC", "Sunday, 08 March 2026, 12:30 UTC"),
        ("America/New_York", "Sunday, 08 March 2026, 08:30 America/New_York"),
        ("Pacific/Auckland", "Monday, 09 March 2026, 01:30 Pacific/Auckland"),
    ],
)
async def test_the_model_is_told_the_time_in_the_zone_of_the_settings(begin: Begin, zone: str, said: str) -> None:
    talk = await begin(now=lambda: NOON, time_zone=ZoneInfo(zone))
    await talk.says("What time is it?")
    assert said in await talk.instructions()


async def test_a_tool_reads_the_same_clock_in_every_turn(begin: Begin) -> None:
    talk = await begin({"calls": {"clock": {}}}, now=lambda: NOON, tools=[clock], time_zone=ZoneInfo("Asia/Kolkata"))
    for _ in range(2):
        assert "2026-03-08T18:00:00+05:30" in (await talk.says("What time is it?")).text


@pytest.mark.parametrize("zone", ["Mars/Olympus", "+02:00", "../zones", "EST5EDT4"])
def test_an_unknown_zone_is_refused_at_the_start(environment: pytest.MonkeyPatch, zone: str) -> None:
    environment.setenv("AGENT_TIME_ZONE", zone)
    with pytest.raises(SettingsError) as error:
        load(require_model_keys=False)
    assert error.value.problems == [f"AGENT_TIME_ZONE is '{zone}'. Write an IANA name, as in America/New_York."]


def test_the_default_is_utc() -> None:
    assert str(defaults.settings().time_zone) == "UTC"
