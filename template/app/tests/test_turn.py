"""The scenarios of the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.conventions import scenario_files
from kit.scenario import play
from kit.scenario_file import load as load_scenario


@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: f"{path.parents[1].name}-{path.stem}")
async def test_scenario_of_the_server(path: Path) -> None:
    assert load_scenario(path).given.has_sample_tools  # agent/tools.py may have others
    assert (await play(path)).failures == []
