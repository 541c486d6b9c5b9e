"""`agent forget` with a database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.capability import Services
from app.memory.backend import Identity
from app.memory.database import DatabaseMemory
from app.store import InProcess
from kit import defaults
from kit.cli import app as cli

ADA = Identity("phone", defaults.CALLER)


def test_agent_forget_prints_the_deleted_counts(
    tmp_path: Path, environment: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/memory.db"
    environment.setenv("DATABASE_URL", url)
    monkeypatch.setattr("app.memory.commands.configure_logging", lambda level: None)

    async def call_before() -> None:
        settings = defaults.settings(database_url=url)
        memory = DatabaseMemory.build(Services(settings, InProcess(), lambda: datetime.now(UTC)))
        await memory.add_observation(await memory.find_or_create_profile(ADA), "Prefers tea.")
        await memory.close()

    asyncio.run(call_before())
    result = CliRunner().invoke(cli, ["forget", ADA.value])
    assert result.exit_code == 0
    assert result.output == f"Deleted of {ADA.value}: 1 profile, 1 observation and 0 summaries.\n"
    again = CliRunner().invoke(cli, ["forget", ADA.value])
    assert again.output == f"There are no memories of {ADA.value}. Nothing was deleted.\n"
    assert CliRunner().invoke(cli, ["forget", "0800"]).exit_code == 2
