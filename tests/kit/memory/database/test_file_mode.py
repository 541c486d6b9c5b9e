"""The file of a SQLite database: only its owner may read what callers said."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.capability import Services
from app.database import connect
from app.memory.backend import Identity
from app.memory.database import DatabaseMemory
from app.store import InProcess
from kit import defaults

ADA = Identity("phone", defaults.CALLER)


@pytest.fixture(autouse=True)
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir() if path.is_file()}


async def used(url: str, wal: bool = False) -> Any:
    settings = defaults.settings(database_url=url)
    memory = DatabaseMemory.build(Services(settings, InProcess(), lambda: datetime.now(UTC)))
    if wal:
        async with memory.database.engine.connect() as database:
            await database.execute(text("PRAGMA journal_mode=WAL"))
    await memory.open()
    await memory.add_observation(await memory.find_or_create_profile(ADA), "likes tea")
    return memory


@pytest.mark.parametrize("wal", [False, True])
async def test_a_new_file_and_those_beside_it_are_the_owners(tmp_path: Path, wal: bool) -> None:
    memory = await used(f"sqlite:///{tmp_path}/memory.db", wal)
    found = modes(tmp_path)
    assert set(found) == ({"memory.db", "memory.db-wal", "memory.db-shm"} if wal else {"memory.db"})
    assert set(found.values()) == {0o600}
    await memory.close()


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o640), (0o666, 0o660), (0o600, 0o600), (0o640, 0o640)])
async def test_a_file_from_before_is_closed_to_the_world(tmp_path: Path, before: int, after: int) -> None:
    memory = await used(f"sqlite:///{tmp_path}/memory.db")
    await memory.close()
    (tmp_path / "memory.db").chmod(before)
    (tmp_path / "memory.db-journal").touch(0o666)
    memory = await used(f"sqlite:///{tmp_path}/memory.db")
    assert modes(tmp_path)["memory.db"] == after
    assert (await memory.recall(await memory.find_or_create_profile(ADA))).observations
    await memory.close()


async def test_the_file_is_private_before_sqlite_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = DatabaseMemory.build(
        Services(
            defaults.settings(database_url=f"sqlite:///{tmp_path}/memory.db"), InProcess(), lambda: datetime.now(UTC)
        )
    )
    seen: list[dict[str, int]] = []
    connecting = memory.database.engine.sync_engine.dialect.connect

    def noted(*args: Any, **kwargs: Any) -> Any:
        seen.append(modes(tmp_path))
        return connecting(*args, **kwargs)

    monkeypatch.setattr(memory.database.engine.sync_engine.dialect, "connect", noted)
    await memory.open()
    assert seen[0] == {"memory.db": 0o600}
    await memory.close()


async def test_a_link_leads_to_a_private_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "memory.db").symlink_to(tmp_path / "data" / "real.db")
    memory = await used(f"sqlite:///{tmp_path}/memory.db")
    assert modes(tmp_path / "data") == {"real.db": 0o600}
    await memory.close()


async def test_a_uri_is_a_file_too(tmp_path: Path) -> None:
    memory = await used(f"sqlite:///file:{tmp_path}/memory.db?uri=true")
    assert modes(tmp_path) == {"memory.db": 0o600}
    await memory.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
async def test_a_database_in_memory_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.chdir(tmp_path)
    memory = await used(url)
    assert modes(tmp_path) == {}
    await memory.close()


def test_an_engine_that_is_not_used_creates_no_file(tmp_path: Path) -> None:
    connect(f"sqlite:///{tmp_path}/memory.db")
    assert modes(tmp_path) == {}
