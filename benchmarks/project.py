"""A new project that a benchmark runs in."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent


def make(place: Path, answers: Sequence[str], template: Path = ROOT) -> Path:
    """Copy and install a project as its README says."""
    given = [part for answer in answers for part in ("-d", answer)]
    copier = Path(sys.executable).with_name("copier")
    subprocess.run([copier, "copy", "--quiet", "--defaults", *given, "--vcs-ref", "HEAD", template, place], check=True)
    subprocess.run([Path(sys.executable).with_name("uv"), "sync", "--quiet"], cwd=place, check=True)
    return place


def environment_of(project: Path) -> dict[str, str]:
    """For a script of this folder that runs in a project."""
    return {**os.environ, "PYTHONPATH": str(project)}


def measure(script: str, answers: Sequence[str], rounds: int) -> dict[str, float]:
    """The figures that a script of this folder prints as JSON when it runs in a new project."""
    with tempfile.TemporaryDirectory() as folder:
        here = make(Path(folder) / "project", answers)
        command = [str(here / ".venv" / "bin" / "python"), str(Path(__file__).with_name(script)), str(rounds)]
        printed = subprocess.check_output(command, cwd=here, env=environment_of(here), encoding="utf-8")
    figures: dict[str, float] = json.loads(printed.splitlines()[-1])
    return figures


def repetitions(doc: str | None, default: int) -> int:
    """`--repetitions` of the command line."""
    arguments = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    arguments.add_argument("--repetitions", type=int, default=default)
    return int(arguments.parse_args().repetitions)
