"""Tests of the workbench run on this machine, where a file may be the database of every project."""

from __future__ import annotations

import pytest

from app import environment


@pytest.fixture(autouse=True)
def a_file_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [each for each in environment.START_CHECKS if not each.__module__.startswith("app.outbound")]
    monkeypatch.setattr(environment, "START_CHECKS", checks)
