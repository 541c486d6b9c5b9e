"""Contacts in, report out, and the commands around them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app import config
from app.__main__ import app as production
from app.capability import Services
from app.environment import SettingsError, load
from app.outbound.contacts import Contact, ContactsError, hours_in, read
from app.outbound.tests.dialing import ADA, BOB, Clock
from app.registry import PARTS, RUNTIME, STORE
from app.store import InProcess
from kit.cli import app as cli
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.product import Fault

HEADER = "number,id,purpose,consent,consent_at,consent_how,consent_wording,zone"
GOOD = f"{ADA},a1,information,written,2026-01-02T10:00:00Z,web,v1,"


def file_of(folder: Path, *rows: str, header: str = HEADER) -> Path:
    path = folder / "spring.csv"
    path.write_text("\n".join([header, *rows]), encoding="utf-8")
    return path


def test_rows_are_read(tmp_path: Path) -> None:
    first, second = read(file_of(tmp_path, GOOD, f"{BOB},,,,,,,America/Chicago"))
    assert (first.number, first.id, first.consent, second.zone) == (ADA, "a1", "written", "America/Chicago")
    assert (second.purpose, second.consent) == ("telemarketing", "none")  # the strictest, where nothing is said


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("2125550123,,,,,,,", "number: write + and the country code"),
        ("anonymous,,,,,,,", "number"),
        (f"{ADA},,gossip,,,,,", "purpose"),
        (f"{ADA},,,written,,,,", "a consent needs consent_at, consent_how and consent_wording"),
        (f"{ADA},,,written,yesterday,web,v1,", "consent_at"),
        (f"{ADA},,,written,2026-01-02T10:00:00Z,carrier pigeon,v1,", "consent_how"),
        (f"{ADA},,,,,,,America/Springfield", "zone"),
        (f"{ADA},,debt,,,,,", "purpose debt and the column debt need each other"),
    ],
)
def test_a_wrong_row_is_named_without_its_value(tmp_path: Path, row: str, says: str) -> None:
    with pytest.raises(ContactsError) as error:
        read(file_of(tmp_path, GOOD, row))
    assert f"row 3: {says}" in str(error.value) and ADA not in str(error.value)


def test_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContactsError, match="row 2: consents"):
        read(file_of(tmp_path, f"{ADA},written", header="number,consents"))


@pytest.mark.parametrize(
    ("text", "days"), [("mon-fri 09:00-17:00", 5), ("sun 00:00-24:00", 1), ("fri-mon 10:00-11:00", 4), ("", 0)]
)
def test_times_are_read(text: str, days: int) -> None:
    assert sum(len(hours.days) for hours in hours_in(text)) == days


@pytest.mark.parametrize("text", ["mondays", "mon 9-17", "mon 09:00", "xyz 09:00-17:00"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no time"):
        Contact(number=ADA, inconvenient=text)


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def run(environment: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    environment.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/ledger.db")
    environment.setattr(config, "DEPLOYED", False)
    environment.setattr(STORE, "shared", False)

    def invoke(*arguments: str) -> Any:
        return CliRunner().invoke(cli, list(arguments))

    return invoke


def test_a_dry_run_says_of_each_contact_why(run: Any, tmp_path: Path) -> None:
    report = tmp_path / "report.csv"
    contacts = file_of(tmp_path, f"{ADA},a1,information,,,,,", "+919812345678,a2,information,,,,,")
    result = run("dial", str(contacts), "--dry-run", "--report", str(report))
    assert result.exit_code == 0, result.output
    assert "row 2 (a1): would not call (consent: " in result.output and "2 would not call." in result.output
    rows = list(csv.DictReader(report.read_text(encoding="utf-8").splitlines()))
    assert [(row["row"], row["id"], row["result"], row["gate"]) for row in rows] == [
        ("2", "a1", "would not call", "consent"),
        ("3", "a2", "would not call", "consent"),
    ]
    assert ADA not in report.read_text() + result.output


def test_people_are_called_once_and_the_report_has_no_number(
    run: Any, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account, report = SimulatedAccount(), tmp_path / "report.csv"
    environment.setattr(
        "app.outbound.commands.services_of",
        lambda own: Services(own, InProcess(), Clock(), account.transport, parts=PARTS),
    )
    contacts = file_of(tmp_path, GOOD, GOOD.replace(ADA, BOB).replace("a1", "b2"))
    first = run("dial", str(contacts), "--report", str(report))
    assert first.exit_code == 0 and "2 called." in first.output, first.output
    rows = list(csv.DictReader(report.read_text(encoding="utf-8").splitlines()))
    assert [(row["id"], row["call_sid"]) for row in rows] == list(zip(["a1", "b2"], account.calls.records, strict=True))
    assert ADA not in report.read_text(encoding="utf-8") + first.output
    again = run("dial", str(contacts))
    assert again.exit_code == 0 and "2 refused." in again.output and "row 2 (a1): refused (once: " in again.output
    account.calls.fault = Fault(status=503, times=1)
    unclear = run("dial", str(contacts), "--campaign", "autumn")
    assert unclear.exit_code == 1 and "1 unclear" in unclear.output and "1 called" in unclear.output
    assert run("ledger").exit_code == 0


def test_wrong_contacts_place_no_call(run: Any, tmp_path: Path) -> None:
    result = run("dial", str(file_of(tmp_path, GOOD, "bogus,,,,,,,")))
    assert result.exit_code == 2 and "row 3: number" in result.output


def test_a_number_is_taken_off_by_hand_and_the_ledger_is_verified(run: Any) -> None:
    assert run("do-not-call", ADA).exit_code == 0
    verified = run("ledger")
    assert verified.exit_code == 0 and "1 entries, 0 verdicts recomputed." in verified.output
    assert "off the list" in run("do-not-call", ADA, "--lift").output
    assert "not on the list" in run("do-not-call", ADA, "--lift").output
    assert "tombstone" in run("erase-calls", ADA).output and "does not know" in run("erase-calls", ADA).output
    assert run("do-not-call", "Ada").exit_code == 2


def test_a_file_is_refused_where_several_dialers_may_run(run: Any, environment: pytest.MonkeyPatch) -> None:
    environment.setattr(config, "DEPLOYED", True)
    result = run("do-not-call", ADA)
    assert result.exit_code == 2 and "DATABASE_URL is a SQLite file, and this project is deployed" in result.output


def test_the_server_does_not_start_either(environment: pytest.MonkeyPatch) -> None:
    environment.setattr(config, "DEPLOYED", True)
    environment.setattr(RUNTIME, "missing_env", dict)
    environment.setattr(RUNTIME, "invalid_models", lambda settings: [])
    environment.setenv("DATABASE_URL", "sqlite:///./agent.db")
    with pytest.raises(SettingsError) as error:
        load()
    assert len(error.value.problems) == 1 and "postgresql://" in error.value.problems[0]
    environment.setenv("DATABASE_URL", "postgresql://agent@127.0.0.1:1/agent")
    assert load()


def test_a_ledger_in_memory_is_refused(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATABASE_URL", "sqlite://")
    result = CliRunner().invoke(cli, ["ledger"])
    assert result.exit_code == 2 and "in memory" in result.output


def test_the_commands_run_in_production_too() -> None:
    names = {command.callback.__name__ for command in production.registered_commands if command.callback}
    assert {"dial", "ledger", "do_not_call", "erase_calls"} <= names
