"""The table of docs/operate.md that says what happens when something fails."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path("docs/operate.md")
TITLE = "## When something fails"


@dataclass(frozen=True)
class Row:
    """`phrases` are the names in capitals of what the other party gets, in order; `logged` are names of events."""

    hears: str
    kept: str
    logged: frozenset[str]

    @property
    def phrases(self) -> list[str]:
        return re.findall(r"`([A-Z]+)`", self.hears)


def rows() -> dict[str, Row]:
    """The rows by their first cells."""
    section = PAGE.read_text(encoding="utf-8").split(TITLE, 1)[1].split("\n## ", 1)[0]
    table = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {
        fault: Row(hears, kept, frozenset(re.findall(r"`([\w.]+)`", logged)))
        for fault, hears, kept, logged in table[1:]
    }


ROWS = rows()


def events(log: str, *levels: str) -> set[str]:
    """The names of the server's events in a log, of these levels or of any. Libraries log sentences."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    found = {line["event"] for line in lines if not levels or line["level"] in levels}
    return {event for event in found if re.fullmatch(r"\w+(\.\w+)?", event)}


def holds(row: Row, log: str, *also: str) -> bool:
    """Whether the log has the events of the row, and no bad news beside them and `also`.

    What blocks the event loop may be this machine.
    """
    found, bad = events(log), events(log, "warning", "error", "critical") - {"event_loop.blocked"}
    assert row.logged <= found and bad <= row.logged.union(also), (row, bad)
    return True
