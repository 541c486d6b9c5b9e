"""How often one changed answer conflicts with the edits of a team.

A trial is a project with random valid answers, edits by the shares in benchmarks/edits.py, and an update to another
valid answer. It conflicts when the update leaves a file to resolve. Exits with 1 when more trials conflict than LIMITS
allow.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import copier
import pytest
from copier import VcsRef

from benchmarks.edits import Draw, edit
from tests import shortcuts
from tests.conftest import commit, files, git, machine_of_its_own, released, snapshot
from tests.questionnaire import Answers, record
from tests.test_updates import SWITCHES

LIMITS = {5: 0.05, 15: 0.15}
"""By the number of edits: the share of updates that may conflict."""
TRIALS = 64
SEED = 15


@dataclass
class Template:
    """The template as a release, and the projects that were copied from it by their answers."""

    repository: Path
    place: Path
    projects: dict[str, Path] = field(default_factory=dict)

    def project(self, answers: Answers) -> Path:
        key = json.dumps(answers, sort_keys=True)
        if key not in self.projects:
            given = {name: value for name, value in answers.items() if name in record(answers)}
            project = self.place / f"copied-{len(self.projects)}"
            copier.run_copy(str(self.repository), project, given, defaults=True, unsafe=False, quiet=True)
            self.projects[key] = commit(project)
        return self.projects[key]


@contextmanager
def template() -> Iterator[Template]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        place = Path(folder)
        machine_of_its_own(patch, place)
        shortcuts.all_of_them(patch, snapshot(place / "template"), place)
        yield Template(released(place / "template", place / "released"), place)


def update(project: Path, answers: Answers, release: bool = False) -> list[str]:
    """Change the answers, or take the newest release. Returns the files that the user has to resolve."""
    version = None if release else VcsRef.CURRENT
    copier.run_update(project, answers, defaults=True, overwrite=True, unsafe=False, quiet=True, vcs_ref=version)
    unmerged = set(git(project, "diff", "--name-only", "--diff-filter=U").splitlines())
    marked = {name for name, body in files(project).items() if b"<<<<<<< " in body or name.endswith(".rej")}
    return sorted(unmerged | marked)


def trial(template: Template, seed: int, number: int, edits: int, show: bool) -> bool:
    """Whether the update of one project conflicts."""
    before, change = Draw(seed, number, "switch").one(SWITCHES)
    project = template.place / f"trial-{edits}-{number}"
    shutil.copytree(template.project(before), project)
    edit(Draw(seed, number, edits), project, edits)
    commit(project)
    conflicts = update(project, change)
    if conflicts and show:
        print(f"trial {number}: {json.dumps(before)} -> {json.dumps(change)}: {', '.join(conflicts)}", file=sys.stderr)
        print(git(project, "diff", *conflicts), file=sys.stderr)
    shutil.rmtree(project)
    return bool(conflicts)


def main(trials: int, seed: int, show: bool) -> int:
    over = False
    with template() as made:
        for edits, limit in LIMITS.items():
            conflicts = sum(trial(made, seed, number, edits, show) for number in range(trials))
            over |= conflicts > max(2, limit * trials)  # two say nothing in a sample
            share = f"{conflicts / trials:.1%}, at most {limit:.0%}"
            print(f"{edits:2} edits: {conflicts} of {trials} updates conflict ({share})", flush=True)
    return over


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--trials", type=int, default=TRIALS)
    arguments.add_argument("--seed", type=int, default=SEED)
    arguments.add_argument("--show", action="store_true", help="print each conflict")
    given = arguments.parse_args()
    sys.exit(main(given.trials, given.seed, given.show))
