"""How much CPU the first turn of a fresh worker costs the server, beside a later one, on every runtime.

A worker is a process of its own. What it loads, builds and compiles late, a caller waits for: it belongs to the start.
Exits with 1 when the first turn takes more than LIMIT times as much as a later one.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.project import environment_of, make, repetitions

LIMIT = 1.5
WHOLE = ("level=4", "channels=omnichannel")
WORKERS = {
    "TAC, level 1": ["path=tac"],
    "TAC, level 4": ["path=tac", *WHOLE],
    "manual, level 1": ["path=manual"],
    "manual, level 4": ["path=manual", *WHOLE],
    "Strands": ["path=aws"],
    "AgentCore": ["path=aws", "aws_runtime=agentcore"],
    "Bedrock Agents": ["path=aws", "aws_runtime=bedrock_agents"],
    "Agent Framework": ["path=azure"],
    "Foundry": ["path=azure", "azure_runtime=foundry"],
    "Voice Live": ["path=azure", "azure_runtime=voice_live"],
}


def first_and_later(answers: list[str], rounds: int) -> tuple[float, float]:
    """Milliseconds of CPU of the first turn of a worker, and how many times as much as a later one of the same worker.

    Medians of `rounds` fresh workers: the machine is as fast for the first turn of a worker as for its later ones.
    """
    with tempfile.TemporaryDirectory() as folder:
        project = make(Path(folder) / "project", answers)
        script = Path(__file__).with_name("inside_fresh_worker.py")
        command = [str(project / ".venv" / "bin" / "python"), str(script)]
        workers: list[list[float]] = []
        for _ in range(rounds + 1):
            printed = subprocess.check_output(command, cwd=project, env=environment_of(project), encoding="utf-8")
            workers.append(json.loads(printed.splitlines()[-1]))
    del workers[0]  # it has written the bytecode
    ratios = [first / statistics.median(later) for first, *later in workers]
    return statistics.median(first for first, *_ in workers), statistics.median(ratios)


def main(rounds: int) -> int:
    worst = 0.0
    for name, answers in WORKERS.items():
        first, ratio = first_and_later(answers, rounds)
        worst = max(worst, ratio)
        print(f"{name:<16} {first:6.2f} ms of CPU for the first turn  {ratio:5.2f} times as much as a later one")
    return worst > LIMIT


if __name__ == "__main__":
    sys.exit(main(repetitions(__doc__, 5)))
