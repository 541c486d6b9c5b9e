"""The benchmarks still run in current projects, within their limits."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import Note
from tests.questionnaire import ROOT


@pytest.mark.matrix
@pytest.mark.parametrize(
    "name",
    ["first_turn --repetitions 3", "fresh_worker --repetitions 5", "observability", "conflicts --show", "load --smoke"],
)
def test_a_benchmark_is_within_its_limit(name: str, note: Note) -> None:
    command = [sys.executable, "-m", *f"benchmarks.{name}".split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    note(done.stdout.strip())
