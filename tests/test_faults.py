"""The table of faults in docs/operate.md: each row has a test that runs, events that are logged, and its place."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from tests.folders import files_of
from tests.pairs import pairwise
from tests.questionnaire import QUESTIONS, ROOT, Answers, asked, defaults
from tests.renderer import situation, text_of

TABLE: list[Answers] = QUESTIONS["fault_table"]["default"]
LISTED = {
    "model": {"hang", "error", "trickle", "empty", "loop"},
    "tool": {"raise", "exit", "block", "late", "huge"},
    "memory": {"429", "500", "slow", "malformed"},
    "call webhook": {"twice", "late", "out_of_order", "replayed"},
    "message webhook": {"twice", "late", "out_of_order", "replayed"},
    "connection": {"dropped", "malformed", "oversized"},
    "request": {"malformed", "oversized", "unsigned"},
    "clock": {"jump"},
    "machine": {"overloaded"},
    "worker": {"killed"},
    "store": {"gone", "frozen", "back"},
    "database": {"locked", "read_only", "full"},
    "ledger": {"locked, read_only or full", "gone", "late"},
}
ABOUT = {
    "memory": "app/memory/twilio/__init__.py",
    "call webhook": "app/voice/connect_action.py",
    "message webhook": "app/messaging/__init__.py",
    "connection": "app/voice/__init__.py",
    "machine": "app/voice/__init__.py",
    "store": "app/stores/__init__.py",
    "database": "app/memory/database/__init__.py",
    "ledger": "app/outbound/ledger.py",
}
"""The file without which a project has nothing of that kind."""
TEST = re.compile(r"(?P<file>[\w/.]+)::(?P<function>\w+)(\[(?P<id>.+)\])?")
PROJECTS = [{}, {"channels": "messaging"}, *map(asked, pairwise())]


def name(row: Answers) -> str:
    return f"{row['fault']}, {row.get('when', {})}"


@functools.cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@functools.cache
def texts(file: Path) -> frozenset[str]:
    """The texts in the code of a file."""
    values = [node.value for node in ast.walk(tree(file)) if isinstance(node, ast.Constant)]
    return frozenset(value for value in values if isinstance(value, str))


def test_each_fault_that_was_asked_for_has_a_row() -> None:
    assert {part: {row["kind"] for row in TABLE if row["part"] == part} for part in LISTED} == LISTED
    assert {row["part"] for row in TABLE} == LISTED.keys()


@pytest.mark.parametrize("row", TABLE, ids=name)
def test_a_row_has_a_test(row: Answers) -> None:
    """One of tests/kit/ finds its row by the first cell; one of the project names the fault with its id."""
    found = TEST.fullmatch(row["test"])
    assert found
    file = ROOT / found["file"]
    functions = [node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert found["function"] in [function.name for function in functions]
    assert not found["id"] or found["id"] in texts(file)
    assert not found["file"].startswith("tests/kit/") or row["fault"] in texts(file)


def runs(test: str, files: frozenset[str]) -> bool:
    """Whether the test runs in a project with these files: see workbench_tests in tests/test_emitted.py."""
    file = test.partition("::")[0]
    if file.startswith("template/"):
        return file.removeprefix("template/") in files
    folder = Path(file).relative_to("tests/kit").parent
    needed = ["app/main.py" if folder == Path() else f"app/{folder.as_posix()}/"]
    needed += ["app/voice/"] if file.endswith("_calls.py") else []
    return all(any(path.startswith(start) and path.endswith(".py") for path in files) for start in needed)


def applies(row: Answers, answers: Answers) -> bool:
    values = situation(answers)
    return all(values[key] == value for key, value in row.get("when", {}).items())


@pytest.mark.parametrize("row", TABLE, ids=name)
def test_a_row_is_shown_where_its_test_runs(row: Answers) -> None:
    shown = [answers for answers in PROJECTS if applies(row, answers)]
    assert shown and all(runs(row["test"], files_of(defaults(answers) | answers)) for answers in shown)


def cells(answers: Answers) -> list[str]:
    """The rows of the table in a project."""
    page = text_of("docs/operate.md", situation(answers))
    section = page.split("## When something fails\n", 1)[1].split("\n## ", 1)[0]
    return [line for line in section.splitlines() if line.startswith("|")][2:]


@pytest.mark.parametrize("answers", PROJECTS, ids=str)
def test_a_project_has_the_rows_of_what_it_has(answers: Answers) -> None:
    files, rows = files_of(defaults(answers) | answers), [row for row in TABLE if applies(row, answers)]
    shown = cells(answers)
    assert [line.split(" | ")[0] for line in shown] == [f"| {row['fault']}" for row in rows]
    assert len({*shown}) == len(shown) and all(line.count(" | ") == 3 for line in shown)
    for part, kinds in LISTED.items():
        present = part not in ABOUT or ABOUT[part] in files
        assert {row["kind"] for row in rows if row["part"] == part} == (kinds if present else set()), part


@functools.cache
def logged(file: Path) -> frozenset[str]:
    """The events that a file logs. A part of a name may be decided: f"call.{'started' if … else 'resumed'}"."""
    found: set[str] = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("log.") and node.args:
            event = node.args[0]
            parts = [each.value for each in ast.walk(event) if isinstance(each, ast.Constant)]
            named = [part for part in parts if isinstance(part, str)]
            found |= {*named} if not isinstance(event, ast.JoinedStr) else {f"{named[0]}{rest}" for rest in named[1:]}
    return frozenset(found)


@functools.cache
def events(files: frozenset[str]) -> frozenset[str]:
    code = [path for path in files if path.startswith("app/") and path.endswith(".py") and "/tests/" not in path]
    plain = [file for path in code if (file := ROOT / "template" / path).exists()]
    return frozenset[str]().union(*map(logged, plain))


@pytest.mark.parametrize("row", TABLE, ids=name)
def test_a_project_logs_the_events_of_its_rows(row: Answers) -> None:
    for answers in PROJECTS:
        if applies(row, answers):
            assert events(files_of(defaults(answers) | answers)).issuperset(row["logged"])
