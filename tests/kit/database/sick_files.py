"""A SQLite file that is locked by another process, that cannot be written, or whose disk is full."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest

import app.database as databases

FAULTS = ["locked", "read-only", "full"]


@asynccontextmanager
async def sick(file: Path, fault: str, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[str]:
    """The URL of a file, which exists, while it has the fault."""
    with monkeypatch.context() as patch, closing(sqlite3.connect(file, isolation_level=None)) as other:
        patch.setattr(databases, "CONNECT_TIMEOUT", 0.05)
        if fault == "locked":
            other.execute("BEGIN EXCLUSIVE")
        if fault == "full":
            (pages,) = other.execute("PRAGMA page_count").fetchone()
            enable = databases.enable_foreign_keys

            def limits(connection: Any, record: Any) -> None:
                enable(connection, record)
                connection.execute(f"PRAGMA max_page_count={pages}").close()

            patch.setattr(databases, "enable_foreign_keys", limits)
        yield f"sqlite:///file:{file}?mode=ro&uri=true" if fault == "read-only" else f"sqlite:///{file}"
