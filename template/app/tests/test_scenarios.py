"""The scenarios of app/, played without a network, with their own scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.conventions import scenario_files
from kit.scenario import play
from kit.scenario_file import load


def name(path: Path) -> str:
    return f"{path.parents[1].name}-{path.stem}"


@pytest.mark.parametrize("path", scenario_files(), ids=name)
async def test_scenario(path: Path) -> None:
    assert load(path).given.tools == "sample"  # agent/tools.py may have others
    assert (await play(path)).failures == []
