"""Random frames and webhooks against emitted projects: nothing crashes, nothing unsigned gets in, calls are answered.

tests/fuzz/ has what is sent; it runs in the project, with Hypothesis installed beside its own packages.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import SEED, Figure, Note, Render
from tests.questionnaire import DEFAULTS, ROOT, Answers
from tests.test_emitted import UV, install, run_offline

EXAMPLES = 10_000
KINDS = 3  # frames, forms and JSON
PROJECTS: list[Answers] = [
    {"path": "tac"},
    {
        **{"path": "manual", "level": "4", "channels": "omnichannel", "outcome": "outbound"},
        **{"regulations": ["gdpr"], "recording": True},
    },
]


def add_package(project: Path, name: str) -> None:
    """Install a package of the template's tools into the project, beside its own."""
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]["dev"]
    (package,) = [each for each in needed if each.startswith(name)]
    done = subprocess.run(
        [UV, "pip", "install", "--quiet", package], cwd=project, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr


def fuzz(project: Path, examples: int) -> None:
    """Send so many frames and webhooks to the project. Raises AssertionError with the shortest one that fails."""
    shutil.copytree(ROOT / "tests" / "fuzz", project / "tests" / "fuzz", ignore=shutil.ignore_patterns("__pycache__"))
    (project / "tests" / "kit").mkdir()
    shutil.copy(ROOT / "tests" / "kit" / "routes.py", project / "tests" / "kit")
    for folder in ("", "kit", "fuzz"):
        (project / "tests" / folder / "__init__.py").touch()
    add_package(project, "hypothesis")
    share = -(-examples // KINDS)
    run_offline(
        project, shlex.join(["env", f"SEED={SEED}", f"EXAMPLES={share}", "pytest", "-q", "tests/fuzz"]), limit=3600
    )


@pytest.mark.matrix
@pytest.mark.parametrize("answers", PROJECTS, ids=str)
def test_a_project_takes_whatever_comes(
    answers: Answers, render: Render, tmp_path: Path, note: Note, figure: Figure
) -> None:
    note(f"SEED={SEED}, fuzzed: {answers}")
    fuzz(install(render(tmp_path / "project", **answers), DEFAULTS["python_version"]), EXAMPLES)
    figure("frames and webhooks sent at random", EXAMPLES)
