"""Which projects are installed and run: every two answers that can occur together do so in one of them.

Each night draws more, for three answers that those do not have together.
"""

from __future__ import annotations

import functools
import itertools
import os
import subprocess
from collections.abc import Iterable
from operator import and_
from pathlib import Path
from random import Random
from typing import Any

import uv

from tests.questionnaire import DEFAULTS, REGIMES, RULES, STRUCTURAL, Answers, asked, choices, is_heard, serves, valid
from tests.rules import answered

LANGUAGES: list[Any] = [["en-US"], ["es-MX", "en-US"], ["zh-HK"], "multi"]
Pair = frozenset[tuple[str, str]]
Triple = tuple[tuple[str, str], ...]


@functools.cache
def interpreter(version: str) -> str | None:
    """A Python of this version on this machine. Versions that pyenv installed but did not activate count too."""
    find = [uv.find_uv_bin(), "python", "find", "--no-python-downloads", version]
    found = subprocess.run(find, capture_output=True, encoding="utf-8")
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    inactive = sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    return found.stdout.strip() or next(map(str, inactive), None)


def options() -> dict[str, list[Any]]:
    """The questions that give a project its shape, and what can be answered on this machine."""
    listed = {name: choices(name) for name in STRUCTURAL if len(choices(name)) > 1} | {"languages": LANGUAGES}
    return listed | {"python_version": [python for python in listed["python_version"] if interpreter(python)]}


def completable(answers: Answers) -> bool:
    """Whether answers to some of the questions go together, for some answers to the others."""
    codes: Any = answers.get("languages", DEFAULTS["languages"])
    spoken = codes if isinstance(codes, str) else tuple(codes)
    ttses = [answers["tts_provider"]] if "tts_provider" in answers else choices("tts_provider")
    fitting, level = (
        functools.reduce(and_, (having(rule, name, answers[name]) for name in names if name in answers), -1)
        for rule, names in enumerate(RULES)
    )
    return bool(level) and any(fitting & speaking(spoken, tts) for tts in ttses)


@functools.cache
def having(rule: int, name: str, value: Any) -> int:
    """The valid combinations of a rule that have this answer, one bit for each."""
    return bits(answers[name] == value for answers in valid(rule))


@functools.cache
def speaking(spoken: str | tuple[str, ...], tts: str) -> int:
    """The combinations in which these languages are heard and spoken, one bit for each."""
    codes = [spoken] if isinstance(spoken, str) else spoken
    return bits(
        all(serves(answers["stt_provider"], tts, code) and is_heard(answers, code) for code in codes)
        for answers in valid(0)
    )


def bits(given: Iterable[bool]) -> int:
    return int("".join("01"[one] for one in given)[::-1] or "0", 2)


def pairs(answers: Answers) -> set[Pair]:
    named = [(name, str(value)) for name, value in answers.items()]
    return {frozenset(pair) for pair in itertools.combinations(named, 2)}


def every_pair() -> set[Pair]:
    """Every pair of answers that occurs in a valid combination."""
    together: set[Pair] = set()
    for (one, first), (two, second) in itertools.combinations(options().items(), 2):
        for a, b in itertools.product(first, second):
            if completable({one: a, two: b}):
                together |= pairs({one: a, two: b})
    return together


def covering(shuffled: Random) -> list[Answers]:
    """Greedy: a row starts with a pair that is missing, and takes the answers that add most missing pairs."""
    offered, missing, rows = options(), every_pair(), list[Answers]()
    while missing:
        start = dict(shuffled.choice(sorted(tuple(sorted(pair)) for pair in missing)))
        row = {name: next(value for value in offered[name] if str(value) == start[name]) for name in start}
        for name in shuffled.sample(sorted(offered.keys() - start.keys()), len(offered) - len(start)):
            fitting = [value for value in offered[name] if completable(row | {name: value})]
            gains = [len(missing & pairs(row | {name: value})) for value in fitting]
            row[name] = fitting[gains.index(max(gains))]
        missing -= pairs(row)
        rows.append({name: row[name] for name in offered})
    return rows


@functools.cache
def pairwise() -> list[Answers]:
    """The same rows in every process: the fewest of some tries, and few to begin with."""
    tries = (covering(Random(seed)) for seed in range(2))
    return min(tries, key=lambda rows: (len(each_shape_once(rows)), len(rows)))


def triples(answers: Answers) -> set[Triple]:
    named = [(name, str(value)) for name, value in sorted(answers.items())]
    return set(itertools.combinations(named, 3))


@functools.cache
def tonight(seed: str, number: int = 6) -> list[Answers]:
    """Rows with as many triples as a greedy choice finds that are in no row of the pairs and in no earlier one.

    A row starts with such a triple; then each question in turn takes the answer that adds most of them.
    """
    shuffled, offered, rows = Random(seed), options(), list[Answers]()
    covered = set().union(*map(triples, pairwise()))
    while len(rows) < number:
        row = {name: shuffled.choice(offered[name]) for name in shuffled.sample(sorted(offered), 3)}
        if triples(row) <= covered or not completable(row):
            continue
        for name in shuffled.sample(sorted(offered.keys() - row.keys()), len(offered) - 3):
            fitting = [value for value in offered[name] if completable(row | {name: value})]
            shuffled.shuffle(fitting)
            gains = [len(triples(row | {name: value}) - covered) for value in fitting]
            row[name] = fitting[gains.index(max(gains))]
        covered |= triples(row)
        rows.append({name: row[name] for name in offered} | {"regulations": regime(row, shuffled)})
    return rows


def regime(row: Answers, shuffled: Random) -> list[str]:
    """Regulations, or none, under which these answers are taken."""
    return shuffled.choice(
        [some for some in REGIMES if isinstance(answered({}, asked(row | {"regulations": some})), dict)]
    )


def shape(answers: Answers) -> set[tuple[str, str]]:
    """The answers that decide most about the files of a project. Others change a runtime, a package or phrases."""
    names = ["level", "channels", "memory_backend", "session_store"]
    climbed = {("climbed", answers["path"])} if answers["level"] != "1" else set()
    return climbed | {(name, str(answers[name])) for name in names}


def each_shape_once(rows: Iterable[Answers]) -> list[Answers]:
    """The first rows that together have every answer that the default projects have not."""
    left, kept = list(rows), list[Answers]()
    missing = set().union(*map(shape, left)).difference(*(shape(DEFAULTS | {"path": path}) for path in choices("path")))
    while missing:
        kept.append(max(left, key=lambda row: len(missing & shape(row))))
        missing -= shape(kept[-1])
    return kept
