"""Memory in a file that is locked, read-only or full, as the table of docs/operate.md says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.memory import Memory
from app.memory.database.tests.test_database import ADA, build
from kit.testing import Begin
from tests.kit.database.sick_files import FAULTS, sick
from tests.kit.fault_table import ROWS, holds

pytest_plugins = ["app.database.tests.servers"]
LONG = "Prefers tea. " * 5000  # more than a page has room for
RULES: list[dict[str, Any]] = [{"hears": "tea", "calls": {"remember": {"fact": LONG}}}, {"says": "Yes."}]
NAMES = {
    "locked": "the memory's database is locked",
    "read-only": "the memory's database is read-only",
    "full": "the memory's database is full",
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_file_that_is_sick(
    no_thread_is_left: None,
    begin: Begin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: Callable[[], str],
    fault: str,
) -> None:
    file = tmp_path / "agent.db"
    memory = build(f"sqlite:///{file}", lambda: datetime.now(UTC))  # type: ignore[arg-type]
    await memory.open()
    await memory.add_observation(await memory.find_or_create_profile(ADA), "Has a dog.")
    await memory.close()
    async with sick(file, fault, monkeypatch) as url:
        talk = await begin(*RULES, capabilities=[Memory], database_url=url)
        assert (await talk.says("Hello")).text == "Yes."
        (capability,) = talk.app.state.conversations.capabilities
        await asyncio.wait([capability.lookups[(await talk.session()).id].task])
        assert "could not be kept" in (await talk.says("I like tea")).text
        assert ("Has a dog." in await talk.instructions()) == (fault != "locked")
        assert holds(ROWS[NAMES[fault]], logged())
    memory = build(f"sqlite:///{file}", lambda: datetime.now(UTC))  # type: ignore[arg-type]
    recalled = await memory.recall(await memory.find_or_create_profile(ADA))
    assert [item.text for item in recalled.observations] == ["Has a dog."]
    await memory.close()
