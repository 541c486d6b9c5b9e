"""All combinations of the answers that shape a project are rendered whole; each distinct file is checked once.

With no regulation, each alone and all of them, observability off and on. With observability the other answers are drawn
by the number of the combination, else they are the defaults.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from random import Random

import pytest

from tests.conftest import Figure, Render
from tests.contents import check, digest
from tests.folders import files_of
from tests.project_files import problems
from tests.questionnaire import CUSTOM, ROOT, Answers, choices, completed, defaults, drawn, every, is_valid
from tests.renderer import project

CORE = {
    *("channels", "level", *CUSTOM, "path", "aws_runtime", "azure_runtime", "memory_backend", "routing"),
    *("session_store", "deploy_target"),
}
REGULATIONS = [[], *([name] for name in choices("regulations")), choices("regulations")]
PARTS = 200
"""Each part of the combinations is a test, so that machines can share them."""


@cache
def combinations() -> list[Answers]:
    """Those that are accepted, in the order of the questions."""
    return [
        {**answers, "regulations": regulations, "observability": observability}
        for answers in every(CORE)
        for regulations in REGULATIONS
        if with_defaults({**answers, "regulations": regulations})
        for observability in choices("observability")
    ]


def with_defaults(answers: Answers) -> Answers | None:
    """The answers, with others than the defaults only where they need them."""
    return answers if is_valid(defaults(answers) | answers) else completed(answers)


def projects(part: int) -> Iterator[Answers]:
    for number, answers in list(enumerate(combinations()))[part::PARTS]:
        full = with_defaults(answers) if answers["observability"] == "off" else drawn(answers, Random(number))
        assert full
        yield full


@pytest.fixture(scope="session")
def seen() -> set[str]:
    """The files that this process has checked."""
    return set()


@pytest.mark.parametrize(
    "part", [0, *(pytest.param(part, marks=pytest.mark.matrix) for part in range(1, PARTS))], ids=lambda part: f"{part}"
)
def test_every_combination_is_a_project(
    part: int, seen: set[str], render: Render, tmp_path: Path, figure: Figure
) -> None:
    """It has the files of its answers and no others; they belong together, and what pages name is there."""
    count, new = 0, dict[str, tuple[str, str]]()
    for answers in projects(part):
        rendered = project(answers)
        assert rendered.keys() == files_of(defaults(answers) | answers), answers
        assert problems(rendered) == [], answers
        fresh = {digest(name, text): (name, text) for name, text in rendered.items()}
        new |= {key: file for key, file in fresh.items() if key not in seen}
        seen |= fresh.keys()
        count += 1
    check(new.values(), tmp_path / "distinct", render(tmp_path / "project") / "pyproject.toml")
    figure("combinations rendered whole", count)
    figure("distinct files checked", len(new))


@pytest.mark.matrix
def test_the_readme_counts_them() -> None:
    assert f"all {len(combinations()):,} combinations" in (ROOT / "README.md").read_text(encoding="utf-8")
