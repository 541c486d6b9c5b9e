"""The cost of questions and templates: generating the default project, beside copying its files as they are.

The rival is Copier itself with the rendered files as a template that asks nothing and renders nothing. Times are
those of the processor, git's included, because wall time follows what else the machine does. Runs alternate. Exits
with 1 when generating takes more than LIMIT times as long as copying.

Where the time goes (Copier 9.19.1, default project): Copier compiles each part of each path of the template twice,
those of left-out files too, which are two thirds of the parts. That is half of what generating costs beyond copying;
a quarter is the questionnaire.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
COPIER = Path(sys.executable).with_name("copier")
LIMIT = 2.0  # 1.87 to 1.89 in November 2026


def snapshot(target: Path) -> Path:
    """The template as a plain folder: neither side spends time on git."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.check_output(listing, cwd=ROOT, encoding="utf-8").split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)
    return target


def copy(template: Path, project: Path) -> float:
    """Seconds of the processor for one run of the command."""
    command = subprocess.Popen([COPIER, "copy", "--quiet", "--defaults", template, project])
    _, status, used = os.wait4(command.pid, 0)
    assert status == 0
    return used.ru_utime + used.ru_stime


def main(repetitions: int) -> int:
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        ours, plain = snapshot(here / "ours"), here / "plain"
        copy(ours, plain / "template")
        (plain / "copier.yml").write_text("_subdirectory: template\n")
        seconds: dict[Path, list[float]] = {ours: [], plain: []}
        for number in range(repetitions):
            for template, taken in seconds.items():
                taken.append(copy(template, here / f"{template.name}-{number}"))
        projects = [{path.name for path in (here / f"{name}-0").rglob("*")} for name in ("ours", "plain")]
        assert projects[0] == projects[1]
    generating, copying = (statistics.median(taken) for taken in seconds.values())
    ratio = generating / copying
    print(f"generating {generating:.2f} s, copying {copying:.2f} s: {ratio:.2f} times as long, at most {LIMIT}")
    return ratio > LIMIT


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--repetitions", type=int, default=15)
    sys.exit(main(arguments.parse_args().repetitions))
