"""A ledger and a dialer for tests: on any database, with a clock that is set, and a simulated account."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from app.capability import Services
from app.database import Database, connect
from app.outbound.contacts import Contact
from app.outbound.dialer import Dialer
from app.outbound.ledger import SCHEMA, Base, Ledger
from app.registry import PARTS
from app.store import InProcess
from kit import defaults
from kit.simulated_twilio.account import SimulatedAccount

DAY = timedelta(days=1)
ADA, BOB = "+12125550123", "+13125550123"  # of New York and Chicago
NOON = datetime(2026, 3, 3, 18, 0, tzinfo=UTC)  # Tuesday, 13:00 and 12:00 there


def local(zone: str, year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    """A local time, as UTC."""
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo(zone)).astimezone(UTC)


class Clock:
    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def contact(number: str = ADA, **changes: Any) -> Contact:
    """A person who has agreed in writing to calls for information."""
    given = {"consent": "written", "consent_at": "2026-01-02T10:00:00Z", "consent_how": "web", "consent_wording": "v1"}
    return Contact.model_validate({"number": number, "purpose": "information", **given, **changes})


def services(clock: Clock, account: SimulatedAccount | None = None, **settings: Any) -> Services:
    transport = (account or SimulatedAccount()).transport
    return Services(defaults.settings(**settings), InProcess(), clock, transport, parts=PARTS)


def dialer(clock: Clock, account: SimulatedAccount | None = None, **settings: Any) -> Dialer:
    own = services(clock, account, **settings)
    return Dialer(own, Ledger.build(own.settings, clock), clock.sleep)


async def empty(url: str) -> str:
    """The URL of a database without tables of the ledger."""
    database = Database(connect(url), SCHEMA)
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
    await database.close()
    return url


def environment(tmp_path: Path, **more: str) -> dict[str, str]:
    """The settings of a project as environment variables, with a ledger in a file."""
    fields = type(defaults.settings()).model_fields.values()
    examples = {field.alias: str(field.examples[0]) for field in fields if field.alias and field.examples}
    return {**examples, "DATABASE_URL": f"sqlite:///{tmp_path}/ledger.db", **more}
