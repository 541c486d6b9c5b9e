"""Your scenarios, played offline with their own scripts. This file is yours."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.scenario import play

FILES = sorted(Path(__file__).parents[1].glob("scenarios/*.yml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_a_scenario(path: Path) -> None:
    assert (await play(path)).failures == []
