"""Benchmarks reach into the projects that they measure: nobody else would notice that they have come apart."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import Note
from tests.questionnaire import ROOT


@pytest.mark.matrix
def test_memory_does_not_delay_the_first_word(note: Note) -> None:
    command = [sys.executable, "benchmarks/first_turn.py", "--repetitions", "3"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    note(done.stdout.strip())
