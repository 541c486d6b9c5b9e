"""Smoke tests with pytest-copie. It trusts the template and drops unknown answers, so the other tests do not use it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.questionnaire import ASKED, choices


@pytest.mark.parametrize("path", choices("path"))
def test_a_project_comes_out(copie: Any, folder: Path, path: str) -> None:
    answers = {"path": path, "project_name": "Front Desk"}
    assert answers.keys() <= ASKED.keys()
    result = copie.copy(answers, template_dir=folder)
    assert result.exception is None and result.exit_code == 0
    assert result.answers["path"] == path
    assert (result.project_dir / "README.md").read_text().startswith("# Front Desk\n")


def test_a_refusal_comes_out_too(copie: Any, folder: Path) -> None:
    result = copie.copy({"languages": ["tlh"]}, template_dir=folder)
    assert result.exit_code == -1
    assert "languages=tlh is not confirmed" in str(result.exception)
