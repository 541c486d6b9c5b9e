"""Tests that would notice: of what a night changes in app/, one expression at a time, they notice nine tenths.

tests/survivors.yml lists the mutants that no test has to notice, each with a reason.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import SEED, Figure, Note, Render
from tests.mutants import Accepted, Mutant, Suite, accepted, compare, drawn
from tests.questionnaire import DEFAULTS, ROOT, Answers
from tests.test_emitted import install, workbench_tests

NUMBER = 100  # of mutants a project
KILLED = 0.9
PROJECTS: list[Answers] = [
    {"path": "manual", "level": "1"},
    {"path": "manual", "level": "4", "channels": "omnichannel"},
]


@pytest.mark.matrix
@pytest.mark.parametrize("answers", PROJECTS, ids=str)
def test_the_tests_of_a_project_notice_what_is_wrong(
    answers: Answers, render: Render, tmp_path: Path, note: Note, figure: Figure
) -> None:
    project = install(render(tmp_path / "project", **answers), DEFAULTS["python_version"])
    workbench_tests(project)
    suite, listed = Suite(project), accepted()
    results = dict(suite.killers(drawn(project, NUMBER, f"{SEED} {answers}")))
    survivors = [mutant for mutant, killer in results.items() if killer is None]
    unexplained = [mutant for mutant in survivors if not any(each.matches(mutant) for each in listed)]
    counted = len(results) - len(survivors) + len(unexplained)
    killed = 1 - len(unexplained) / counted
    note(
        f"SEED={SEED}, mutants of {answers}: {len(results)}, killed {len(results) - len(survivors)}, survived "
        f"{len(survivors)}, {len(unexplained)} of them without a reason: {killed:.0%} of those that count are killed"
    )
    for mutant in unexplained:
        note(f"survived: {mutant}")
    figure("mutants", len(results))
    killers = {killer for killer in results.values() if killer and killer in suite.seconds}
    assert (alone := suite.fails_alone(sorted(killers))) is None, f"without a mutant fails, too: {alone}"
    assert killed >= KILLED, "\n".join(map(str, unexplained))


@pytest.mark.parametrize("each", accepted(), ids=lambda each: each.place)
def test_a_survivor_that_is_accepted_is_of_this_code(each: Accepted) -> None:
    path, _, function = each.place.partition(" ")
    code = (ROOT / "template" / path).read_text(encoding="utf-8")
    assert each.reason and re.search(rf"(def|class) {function.rpartition('.')[2]}\b", code)
    assert each.was in " ".join(line.strip() for line in code.splitlines())


BEFORE = """
class Calls:
    def take(self):
        first = 1
        if (
            first
        ):
            return first + 1
"""


def test_a_mutant_is_known_by_its_function_and_its_line() -> None:
    mutant = compare("app/calls.py", BEFORE, BEFORE.replace("+ 1", "- 1"))
    assert mutant and str(mutant).splitlines() == [
        "app/calls.py Calls.take",
        "  - return first + 1",
        "  + return first - 1",
    ]
    moved = compare("app/calls.py", f"\n\n{BEFORE}", f"\n\n{BEFORE}".replace("+ 1", "- 1"))
    accepted = Accepted(place="app/calls.py Calls.take", was="return first + 1", reason="it is never read")
    assert moved and moved.lines == {10} and accepted.matches(moved) and accepted.matches(mutant)
    assert replace(accepted, now="return first - 1").matches(mutant) and replace(accepted, was="").matches(mutant)
    assert replace(accepted, place="app/calls.py Calls").matches(mutant)
    assert not replace(accepted, place="app/calls.py Call").matches(mutant)
    assert not replace(accepted, now="return first + 2").matches(mutant)
    assert not replace(accepted, place="app/calls.py Calls.give").matches(mutant)


def test_a_mutant_is_run_by_the_tests_of_its_statement() -> None:
    mutant = compare("app/calls.py", BEFORE, BEFORE.replace("            first\n", "            not first\n"))
    assert mutant and mutant.lines == {5, 6, 7}
    parameter: Mutant | None = compare("app/calls.py", BEFORE, BEFORE.replace("(self)", "(self, first=2)"))
    assert parameter and parameter.lines == {4, 5, 6, 7, 8}


def test_what_is_no_other_code_is_no_mutant() -> None:
    assert compare("app/calls.py", BEFORE, BEFORE) is None
    assert compare("app/calls.py", BEFORE, f"{BEFORE})") is None
