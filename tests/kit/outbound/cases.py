"""Outbound calls with words that no lawyer has read, and ledgers that do not hold."""

from __future__ import annotations

import sqlite3

from app.outbound.phrases import phrases
from tests.kit.healthy_project import HealthyProject, fails, passes

LEDGER = "sqlite:///./ledger.db"
TABLE = "CREATE TABLE outbound_head (id INTEGER PRIMARY KEY, length INTEGER, mac TEXT, turns INTEGER, next_call FLOAT)"


def healthy(project: HealthyProject) -> None:
    project.patch.setattr(phrases.own, "REVIEWED", True, raising=False)
    project.patch.setattr("app.config.DEPLOYED", False)
    project.patch.setattr("app.registry.STORE.shared", False)


@fails("OUT001")
def words_that_no_lawyer_has_read(project: HealthyProject) -> None:
    project.patch.setattr(phrases.own, "REVIEWED", False, raising=False)


@fails("OUT002")
def a_file_where_the_server_is_deployed(project: HealthyProject) -> None:
    project.patch.setattr("app.config.DEPLOYED", True)
    project.patch.setenv("DATABASE_URL", LEDGER)


@passes("OUT002")
def a_file_on_one_machine(project: HealthyProject) -> None:
    project.patch.setenv("DATABASE_URL", LEDGER)


@fails("OUT003")
def a_ledger_whose_entries_are_gone(project: HealthyProject) -> None:
    project.patch.chdir(project.root)
    with sqlite3.connect(project.root / "ledger.db") as database:
        database.execute(TABLE)
        database.execute("INSERT INTO outbound_head VALUES (1, 3, 'x', 3, 0)")
    project.patch.setenv("DATABASE_URL", LEDGER)


@passes("OUT003")
def no_call_yet(project: HealthyProject) -> None:
    project.patch.setenv("DATABASE_URL", LEDGER)
