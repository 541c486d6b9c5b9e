"""One changed expression at a time in app/ of a project: which of its tests notice?

mutmut says what can be changed. tests/mutation/mutants_plugin.py says, inside the project, which tests run a line. A
mutant is taken by a process that has imported the project, and the tests that run its lines go on until one fails.
"""

from __future__ import annotations

import ast
import difflib
import json
import os
import queue
import random
import shutil
import signal
import subprocess
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from libcst import SimpleString
from mutmut.mutation.file_mutation import Mutation, create_mutations, deep_replace

from tests.mutation.mutants_plugin import ANSWER, IMPORTED, NO_FUNCTION, SURVIVED
from tests.offline import offline
from tests.questionnaire import ROOT
from tests.test_emitted import install
from tests.test_fuzz import add_package

NOT_RUN = ["tests/kit/test_dev_calls.py"]  # minutes of waiting for a server that loads itself anew
MOST_SECONDS = 90.0  # of CPU that the tests of a mutant take in all, without it
SLOWER, START = 3.0, 60.0  # a mutant hangs after so many times the seconds of its tests, and some more
WORKERS = os.cpu_count() or 2


@dataclass(frozen=True)
class Mutant:
    """`was` and `now` are the lines that differ, in one. `lines` are those that a test must run to notice."""

    path: str
    function: str  # as in "Calls.start"
    was: str
    now: str
    lines: frozenset[int]
    code: str  # of the whole file

    def __str__(self) -> str:
        return f"{self.path} {self.function}\n  - {self.was}\n  + {self.now}"


@dataclass(frozen=True)
class Accepted:
    """A mutant that may survive. Without `now`, any change of these lines; without `was`, any of the function."""

    place: str  # as in "app/voice/calls.py Calls.start", or of a class "app/voice/calls.py Calls"
    reason: str
    was: str = ""
    now: str = ""

    def matches(self, mutant: Mutant) -> bool:
        same = f"{mutant.path} {mutant.function}.".startswith(f"{self.place}.")
        return same and self.was in ("", mutant.was) and self.now in ("", mutant.now)


def accepted() -> list[Accepted]:
    listed = yaml.load((ROOT / "tests" / "survivors.yml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    return [Accepted(**each) for each in listed]


def drawn(project: Path, number: int, seed: str) -> list[Mutant]:
    """So many of all mutants of app/, without its tests."""
    found = []
    for path in sorted((project / "app").rglob("*.py")):
        if "tests" not in path.parts:
            name, code = path.relative_to(project).as_posix(), path.read_text(encoding="utf-8")
            module, mutations, *_ = create_mutations(name, code)
            found += [(name, code, module, each) for each in mutations if counts(each)]
    random.Random(seed).shuffle(found)
    made: list[Mutant] = []
    for name, code, module, each in found:
        mutated: Any = deep_replace(module, each.original_node, each.mutated_node)
        if len(made) == number:
            break
        if mutant := compare(name, code, mutated.code):
            made.append(mutant)
    return made


def counts(mutation: Mutation) -> bool:
    """A text is changed once, not in capitals too; a sentence is not, since a test would have to repeat it."""
    was, now = mutation.original_node, mutation.mutated_node
    counted = bool(mutation.contained_by_top_level_function)
    if isinstance(was, SimpleString) and isinstance(now, SimpleString):
        return counted and " " not in was.value and was.value.lower() != now.value.lower()
    return counted


def compare(path: str, code: str, mutated: str) -> Mutant | None:
    """None for a mutant that is the same code, or no Python."""
    old, new = code.splitlines(), mutated.splitlines()
    changes = [each for each in difflib.SequenceMatcher(None, old, new, False).get_opcodes() if each[0] != "equal"]
    try:
        ast.parse(mutated)
    except SyntaxError:
        return None
    if not changes:
        return None
    was = " ".join(line.strip() for _, first, last, _, _ in changes for line in old[first:last])
    now = " ".join(line.strip() for _, _, _, first, last in changes for line in new[first:last])
    around = statements(ast.parse(code), changes[0][1] + 1, max(changes[-1][2], changes[0][1] + 1))
    named = [each for each in around if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    return Mutant(path, ".".join(each.name for each in named), was, now, lines_of(around[-1]), mutated)


def statements(tree: ast.Module, first: int, last: int) -> list[ast.stmt]:
    """The statements that have these lines in them, the outermost first."""
    nodes = [each for each in ast.walk(tree) if isinstance(each, ast.stmt)]
    around = [each for each in nodes if each.lineno <= first and last <= (each.end_lineno or 0)]
    return sorted(around, key=lambda each: each.lineno - (each.end_lineno or 0))


def lines_of(statement: ast.stmt) -> frozenset[int]:
    """The lines of a statement without those of statements inside; of a function, these: it ran if they did."""
    own = set(range(statement.lineno, (statement.end_lineno or 0) + 1))
    inner = [each for each in ast.walk(statement) if isinstance(each, ast.stmt) and each is not statement]
    nested = {line for each in inner for line in range(each.lineno, (each.end_lineno or 0) + 1)}
    return frozenset(nested if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) else own - nested)


class Suite:
    """The tests of a project and what each of them runs."""

    def __init__(self, project: Path, paths: Sequence[str] = ("app", "tests"), record: Path | None = None) -> None:
        self.paths = [*(f"--ignore={each}" for each in NOT_RUN), *paths]
        with ThreadPoolExecutor(WORKERS) as pool:
            self.places = list(pool.map(partial(copied, project), range(WORKERS)))
        record = record or project.parent / "record.json"
        if not record.exists():
            with pytest_in(self.places[0], self.paths, RECORD=str(record)) as started:
                said, _ = started.communicate(timeout=3600)
            assert record.exists(), said[-6000:]
        recorded = json.loads(record.read_text(encoding="utf-8"))
        self.seconds: Mapping[str, tuple[float, float]] = recorded["seconds"]  # of CPU, and of the clock
        self.tests = list(self.seconds)
        self.lines: Mapping[str, Mapping[str, list[int]]] = recorded["lines"]  # file, line, tests
        self.failed: Sequence[str] = recorded["failed"]

    def chosen(self, mutant: Mutant) -> list[str]:
        """The tests that run the lines of a mutant, then all others for one that runs on import."""
        numbers, path = self.numbers(mutant), Path(mutant.path)
        module = path.parent.name if path.stem == "__init__" else path.stem
        tests = [self.tests[number] for number in numbers if number != IMPORTED]
        others = set(self.tests) - set(tests) if IMPORTED in numbers else set[str]()
        return [*self.in_time(tests, module), *self.in_time(others, module)]

    def numbers(self, mutant: Mutant) -> set[int]:
        lines = self.lines.get(mutant.path, {})
        return {number for line in mutant.lines for number in lines.get(str(line), [])}

    def in_time(self, tests: Iterable[str], module: str) -> list[str]:
        """Those whose file is named after the module, then the quickest of each file, the next quickest, and so on."""
        files, places = Counter[str](), dict[str, tuple[int, float]]()
        for test in sorted(tests, key=lambda each: (self.seconds[each][0], each)):
            file = test.partition("::")[0]
            places[test] = (0 if module in file.rpartition("/")[2] else files[file] + 1), self.seconds[test][0]
            files[file] += 1
        ordered: list[str] = []
        seconds = 0.0
        for test in sorted(places, key=places.__getitem__):
            seconds += self.seconds[test][0]
            if seconds > MOST_SECONDS and ordered:
                break
            ordered.append(test)
        return ordered

    def killers(self, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, str | None]]:
        """Each mutant with the test that noticed, or None."""
        with ThreadPoolExecutor(WORKERS) as pool, ExitStack() as stack:
            free: queue.Queue[Served] = queue.Queue()
            for served in pool.map(lambda place: Served(place, self.paths), self.places):
                free.put(stack.enter_context(closing(served)))

            def killer(mutant: Mutant) -> tuple[Mutant, str | None]:
                served = free.get()
                try:
                    answer = self.answer(mutant, served)
                    return mutant, None if answer == SURVIVED else answer
                finally:
                    free.put(served)

            yield from pool.map(killer, mutants)

    def answer(self, mutant: Mutant, served: Served) -> str:
        """Code that is a default, or that ran before the tests, is tried in a process of its own, too."""
        tests = self.chosen(mutant)
        answer = served.ask(tests, self.limit(tests), mutant) if tests else SURVIVED
        if answer == NO_FUNCTION or (answer == SURVIVED and IMPORTED in self.numbers(mutant)):
            file = served.place / mutant.path
            code = file.read_text(encoding="utf-8")
            try:
                write(file, mutant.code)
                files = dict.fromkeys(each.partition("::")[0] for each in tests)
                with closing(Served(served.place, list(files))) as afresh:
                    return afresh.ask(tests, self.limit(tests))
            except EOFError:
                return "the start of the tests"
            finally:
                write(file, code)
        return answer

    def limit(self, tests: Sequence[str]) -> float:
        return START + SLOWER * sum(self.seconds[each][1] for each in tests)

    def fails_alone(self, tests: Sequence[str]) -> str | None:
        """The first of these tests that fails without a mutant, when only they run."""
        with closing(Served(self.places[0], self.paths)) as served:
            answer = served.ask(tests, self.limit(tests))
            said = "".join(served.said)
        return None if answer == SURVIVED else f"{answer}\n{said}"


class Served:
    """pytest in a place, which has collected its tests and waits for mutants."""

    def __init__(self, place: Path, paths: Sequence[str]) -> None:
        self.place = place
        self.said: deque[str] = deque(maxlen=100)  # lines of pytest before its last answer
        self.process = pytest_in(place, paths, SERVE="1")
        self.answer()

    def answer(self) -> str:
        """The next answer among what pytest says. Raises EOFError with the end of that, when there is none."""
        self.said.clear()
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith(ANSWER):
                return line.removeprefix(ANSWER).strip()
            self.said.append(line)
        self.close()
        raise EOFError("".join(self.said))

    def ask(self, tests: Sequence[str], limit: float, mutant: Mutant | None = None) -> str:
        """SURVIVED, NO_FUNCTION, or what noticed the mutant. Without one, the code is that of the place."""
        request = {"path": mutant and mutant.path, "code": mutant and mutant.code, "tests": tests, "limit": limit}
        assert self.process.stdin
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self.answer()

    def close(self) -> None:
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.communicate()


def copied(project: Path, number: int) -> Path:
    """A copy with an installation of its own: doctor reports an editable one of another folder."""
    place = project.parent / f"copy{number}"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(project, place, symlinks=True, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    install(place, str(project / ".venv" / "bin" / "python"))
    add_package(place, "coverage")
    return place


def write(file: Path, code: str) -> None:
    """Without its bytecode, which is that of a file of the same second and size."""
    file.write_text(code, encoding="utf-8")
    for cached in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
        cached.unlink()


def pytest_in(place: Path, options: Sequence[str], **environment: str) -> subprocess.Popen[str]:
    """pytest with tests/mutation/mutants_plugin.py, offline, in a process group of its own."""
    temporary = f"--basetemp={place.parent / f'temporary-{place.name}'}"
    python = [str(place / ".venv" / "bin" / "python"), "-m", "pytest", "-q", "-p", "mutants_plugin", temporary]
    command, wall = offline([*python, *options], place.parent / f"refused-{place.name}")
    wall["PYTHONPATH"] = os.pathsep.join([wall["PYTHONPATH"], str(place), str(ROOT / "tests" / "mutation")])
    return subprocess.Popen(
        command,
        cwd=place,
        env={**wall, "PATH": f"{place / '.venv' / 'bin'}{os.pathsep}{wall['PATH']}", **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
