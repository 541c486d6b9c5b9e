"""A pytest plugin for a project: which tests run which lines of app/, and which test notices a mutant.

RECORD=file writes tests and lines. With SERVE=1, pytest collects once and reads mutants from its input, one of JSON a
line. It answers each with a line: it forks, gives the functions of app/ the code of the mutant, and runs the chosen
tests until one fails. So a mutant costs its tests, and no start.
"""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import resource
import select
import signal
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import IO

import pytest

MEMORY = 8 * 1024**3  # bytes; a mutant may fill a list for ever
ANSWER = "mutant: "  # begins each answer, among what pytest says
IMPORTED = -1  # in place of the number of a test: the line ran before the tests
SURVIVED, NO_FUNCTION, TIME = "survived", "no function", "time"  # answers; any other is a test that failed


class Recorder:
    """Each test is a context of coverage. Those that pass are written down, with CPU seconds, seconds and lines."""

    def __init__(self, record: Path) -> None:
        import coverage

        self.record = record
        self.seconds: dict[str, tuple[float, float]] = {}
        self.failed: set[str] = set()
        threads = ["thread", *(["greenlet"] if importlib.util.find_spec("greenlet") else [])]
        self.coverage = coverage.Coverage(
            source=[os.path.abspath("app")], omit=["*/tests/*"], data_file=None, concurrency=threads
        )
        self.coverage.start()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        cpu, clock = time.process_time(), time.perf_counter()
        self.coverage.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self.coverage.switch_context("")
            self.seconds[item.nodeid] = time.process_time() - cpu, time.perf_counter() - clock

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not report.passed:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        data = self.coverage.get_data()
        seconds = {test: taken for test, taken in self.seconds.items() if test not in self.failed}
        numbers = {test: number for number, test in enumerate(seconds)} | {"": IMPORTED}
        lines = {
            Path(file).relative_to(Path.cwd()).as_posix(): {
                line: [numbers[test] for test in tests if test in numbers]
                for line, tests in data.contexts_by_lineno(file).items()
            }
            for file in data.measured_files()
        }
        recorded = {"seconds": seconds, "lines": lines, "failed": sorted(self.failed)}
        self.record.write_text(json.dumps(recorded), encoding="utf-8")


class Server:
    """Answers mutants. In a fork, pytest goes on with the chosen tests."""

    def __init__(self) -> None:
        self.requests, self.answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")  # before pytest captures them
        self.fork_pipe: int | None = None  # in a fork; no file, which would be one more to close while tests run

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed:  # to collect; pytest would run none of the tests, and none would fail
            raise session.Failed("errors during collection")
        items = {item.nodeid: item for item in session.items}
        functions = [each for each in gc.get_objects() if isinstance(each, FunctionType)]
        self.answer("ready")
        for line in self.requests:
            mutant = json.loads(line)
            answer, written = os.pipe()
            if child := os.fork():
                os.close(written)
                with os.fdopen(answer) as lines:
                    self.answer(wait(child, lines, mutant["limit"]))
                continue
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            self.fork_pipe = written
            if mutant["path"] and not take(mutant["path"], mutant["code"], functions):
                self.leave(NO_FUNCTION)
            session.items = [items[test] for test in mutant["tests"] if test in items]
            return None
        return True

    def answer(self, text: str) -> None:
        print(f"\n{ANSWER}{text}", file=self.answers, flush=True)  # pytest may be in the middle of a line

    def leave(self, answer: str) -> None:
        """End a fork."""
        if self.fork_pipe is not None:
            os.write(self.fork_pipe, f"{answer}\n".encode())
            os._exit(0)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and self.fork_pipe is not None:
            print(report.longreprtext, file=self.answers, flush=True)
            self.leave(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.leave(SURVIVED)


def wait(child: int, lines: IO[str], limit: float) -> str:
    """What a fork answers in so many seconds. Whatever it has started is killed."""
    in_time = select.select([lines], [], [], limit)[0]
    answer = lines.readline().strip() if in_time else TIME
    if not answer:
        time.sleep(0.5)  # the pipe closes before the process has ended
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return answer or f"the end of the process ({os.waitstatus_to_exitcode(status)})"


def take(path: str, mutated: str, functions: list[FunctionType]) -> bool:
    """Give the functions of a file the code of the mutant. False when it changes none of them."""
    file, taken = os.path.abspath(path), False
    old, new = (dict(codes(compile(code, file, "exec"))) for code in (Path(file).read_text("utf-8"), mutated))
    for function in functions:
        code = function.__code__
        if code.co_filename == file and code == old.get(key(code)) != new.get(key(code), code):
            try:
                function.__code__ = new[key(code)]
            except ValueError:  # it closes over other names
                return False
            taken = True
    return taken


def codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    yield key(code), code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from codes(each)


def key(code: CodeType) -> str:
    return f"{code.co_qualname} {code.co_firstlineno}"


def pytest_configure(config: pytest.Config) -> None:
    if server:
        config.pluginmanager.register(server)
    if recorder:
        config.pluginmanager.register(recorder)


# At once: nothing has imported app, and pytest has not captured anything.
server = Server() if "SERVE" in os.environ else None
recorder = Recorder(Path(os.environ["RECORD"])) if "RECORD" in os.environ else None
