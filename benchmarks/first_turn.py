"""How long a caller waits for the first word, with memory and without.

Four agents answer the same caller, who speaks 1.5 s after pick-up: one without memory, ours, and TAC with two memory
modes of its own. The simulated Twilio takes as long as the real one was measured to: 0.9 s to look up a caller, 2 s
until a conversation is listed, 40 ms to recall without a query, 3 s when it has to write the query itself. The model
takes 0.3 s. Runs alternate. Exits with 1 when ours takes more than LIMIT times as long as no memory.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIMIT = 1.1
INSIDE = Path(__file__).with_name("inside_project.py")


def project(place: Path) -> Path:
    """A new project at level 2 on the TAC path, installed as its README says."""
    answers = ["--defaults", "-d", "path=tac", "-d", "level=2"]
    copier = Path(sys.executable).with_name("copier")
    subprocess.run([copier, "copy", "--quiet", *answers, "--vcs-ref", "HEAD", ROOT, place], check=True)
    subprocess.run([Path(sys.executable).with_name("uv"), "sync", "--quiet"], cwd=place, check=True)
    return place


def main(repetitions: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        here = project(Path(folder) / "project")
        python = here / ".venv" / "bin" / "python"
        environment = {**os.environ, "PYTHONPATH": str(here)}
        command = [str(python), str(INSIDE), str(repetitions)]
        printed = subprocess.check_output(command, cwd=here, env=environment, encoding="utf-8")
    milliseconds: dict[str, float] = json.loads(printed.splitlines()[-1])
    floor = milliseconds["no memory"]
    for name, taken in milliseconds.items():
        print(f"{name:<10} {taken:7.0f} ms to the first word  {taken / floor:6.2f} times as long as no memory")
    return milliseconds["ours"] / floor > LIMIT


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repetitions", type=int, default=5)
    sys.exit(main(arguments.parse_args().repetitions))
