"""Your scenarios, played without a network, with their own scripts. This file is yours."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.testing import play

FILES = sorted(Path(__file__).parents[1].glob("scenarios/*.yml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
async def test_scenario(path: Path) -> None:
    assert (await play(path)).failures == []
