"""Contacts: rows of a CSV file, or the body of a request. What is wrong with one is a line with its number."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from app.connection import has_number
from app.outbound.gate import Hours, Purpose, Tier
from app.outbound.states import STATES

DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
REPORT_FIELDS = ("row", "id", "result", "gate", "reason", "call_sid")


class Contact(BaseModel):
    """A person to call. An empty field counts as one that is left out; unknown columns are refused."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    number: str = Field(description="E.164, as in +15005550006")
    id: str = Field("", max_length=200, description="yours; the report has it")
    purpose: Purpose = Field("telemarketing", description="telemarketing, information or debt")
    consent: Tier = Field("none", description="none, oral or written")
    consent_at: datetime | None = Field(None, description="when it was given, as in 2026-11-02T10:15:00+00:00")
    consent_how: Literal["", "app", "call", "email", "paper", "text", "web"] = Field("", description="how it was given")
    consent_wording: str = Field("", description="the wording that was agreed to, or its version")
    zone: str = Field("", description="of the person, as in America/Chicago; else the number decides")
    state: str = Field("", description="of the USA, as in TX; the number's counts too")
    debt: str = Field("", max_length=200, description="an id of the debt, for purpose debt")
    inconvenient: str = Field("", description="times to leave out, as in mon-fri 09:00-17:00; sun 00:00-24:00")

    @model_validator(mode="before")
    @classmethod
    def empty_is_missing(cls, row: Any) -> Any:
        return {key: value for key, value in row.items() if value not in ("", None)} if isinstance(row, dict) else row

    @field_validator("number")
    @classmethod
    def is_number(cls, number: str) -> str:
        if not has_number(number):
            raise ValueError("write + and the country code, as in +15005550006")
        return number

    @field_validator("zone")
    @classmethod
    def is_zone(cls, zone: str) -> str:
        if zone and zone not in available_timezones():
            raise ValueError(f"{zone!r} is no time zone of the IANA database")
        return zone

    @field_validator("state")
    @classmethod
    def is_state(cls, state: str) -> str:
        if state and state.upper() not in STATES:
            raise ValueError(f"{state!r} is no state of the USA, as in TX")
        return state.upper()

    @field_validator("consent_at")
    @classmethod
    def is_utc(cls, at: datetime | None) -> datetime | None:
        """A time without an offset is UTC."""
        return at and (at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC))

    @field_validator("inconvenient")
    @classmethod
    def is_readable(cls, text: str) -> str:
        hours_in(text)
        return text

    @model_validator(mode="after")
    def is_complete(self) -> Contact:
        if self.consent != "none" and not (self.consent_at and self.consent_how and self.consent_wording):
            raise ValueError("a consent needs consent_at, consent_how and consent_wording")
        if (self.purpose == "debt") != bool(self.debt):
            raise ValueError("purpose debt and the column debt need each other")
        return self


class ContactsError(ValueError):
    """Rows that cannot be read. The text has a line for each."""


def read(path: Path) -> list[Contact]:
    """Every row of a CSV file (UTF-8, with a header). Raises ContactsError, which names all wrong rows."""
    contacts, problems = [], []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), start=2):
                try:
                    contacts.append(Contact.model_validate({key: value for key, value in row.items() if key}))
                except ValidationError as error:
                    problems += [f"row {number}: {line}" for line in wrong(error)]
    except (OSError, UnicodeError, csv.Error) as error:
        raise ContactsError(f"{path} cannot be read: {error}") from None
    if not contacts and not problems:
        problems = [f"{path} has no row. Its header has number, consent and others: docs/outbound.md lists them."]
    if problems:
        raise ContactsError("\n".join(problems))
    return contacts


def wrong(error: ValidationError) -> Iterator[str]:
    """A line for each problem, without the value: it may be personal."""
    for each in error.errors(include_input=False, include_url=False):
        place, says = ".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")
        yield f"{place}: {says}" if place else says


def write_report(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Raises OSError."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, REPORT_FIELDS)
        writer.writeheader()
        writer.writerows(rows)


def hours_in(text: str) -> tuple[Hours, ...]:
    """Times such as "mon-fri 09:00-17:00; sun 00:00-24:00". Raises ValueError."""
    return tuple(hours for part in filter(None, map(str.strip, text.split(";"))) for hours in hours_of(part))


def hours_of(part: str) -> Iterator[Hours]:
    try:
        days, span = part.lower().split()
        first, last = [DAY_NAMES.index(day) for day in (days.split("-") * 2)[:2]]
        start, end = span.split("-")
        wanted = tuple((first + number) % 7 for number in range((last - first) % 7 + 1))
        end = "23:59:59.999999" if end == "24:00" else end  # which is no time of day
        yield Hours.model_validate({"start": start, "end": end, "days": wanted})
    except ValueError:
        raise ValueError(f"{part!r} is no time: write it as in mon-fri 09:00-17:00") from None
