"""How much CPU observability costs a turn: switched off, at full sampling, and at a ratio of 0.1.

Each side is a server in a process of its own. They take calls in turn, so that other work of the machine costs all of
them the same, and a figure is the median of blocks of calls; a collector on this machine takes what they export. `bare`
is the project without the calls to observers. Exits with 1 when a side costs more than its limit.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from operator import sub, truediv
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

from benchmarks.project import make, repetitions

OFF = 1.02  # times `bare`
FULL = 1.5  # milliseconds more than `off`
RATIO = 1.10  # times `off`
PAIRS = {"off": "bare", "full": "off", "ratio": "off"}
WARM_UP = 10  # calls
BLOCK = 15  # calls: some of them export spans
SIDES: dict[str, dict[str, str]] = {
    "bare": {},
    "off": {},
    "full": {},
    "ratio": {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
}


class Sink(BaseHTTPRequestHandler):
    """Accepts everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@contextmanager
def sink() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Sink)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()


@contextmanager
def side(name: str, project: Path, endpoint: str) -> Iterator[Callable[[], float]]:
    """A server. Each call of the function is a phone call, and gives the milliseconds of CPU a turn."""
    script = Path(__file__).with_name("inside_observability.py")
    environment = {**os.environ, "PYTHONPATH": str(project), "PYTHONHASHSEED": "0", **SIDES[name]}
    command = [str(project / ".venv" / "bin" / "python"), str(script), name, endpoint]
    with subprocess.Popen(
        command, cwd=project, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as server:
        assert server.stdin and server.stdout
        given, printed = server.stdin, server.stdout

        def phone_call() -> float:
            given.write("\n")
            return float(printed.readline())

        assert printed.readline() == "ready\n"
        yield phone_call
        given.close()


def main(rounds: int) -> int:
    taken: dict[str, list[float]] = {name: [] for name in SIDES}
    blocks: dict[str, list[float]] = {}
    order = Random(0)
    with tempfile.TemporaryDirectory() as folder, sink() as endpoint, ExitStack() as servers:
        here = make(Path(folder) / "project", ["path=tac", "observability=otlp"])
        calls = {name: servers.enter_context(side(name, here, endpoint)) for name in SIDES}
        for number in range(rounds * BLOCK + WARM_UP):
            for name in order.sample(sorted(calls), len(calls)):  # an export goes on during the next call
                milliseconds = calls[name]()
                if number >= WARM_UP:
                    taken[name].append(milliseconds)
    for name, values in taken.items():
        starts = range(0, len(values), BLOCK)
        blocks[name] = [statistics.fmean(values[start : start + BLOCK]) for start in starts]
    print(f"bare   {statistics.median(blocks['bare']):6.2f} ms of CPU a turn")
    more, times = dict[str, float](), dict[str, float]()
    for name, beside in PAIRS.items():
        both = list(zip(blocks[name], blocks[beside], strict=True))
        more[name], times[name] = (statistics.median(f(*pair) for pair in both) for f in (sub, truediv))
        print(f"{name:<6} {more[name]:+6.2f} ms, {times[name]:5.3f} times {beside}")
    return times["off"] > OFF or more["full"] > FULL or times["ratio"] > RATIO


if __name__ == "__main__":
    sys.exit(main(repetitions(__doc__, 15)))
