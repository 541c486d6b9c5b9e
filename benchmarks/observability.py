"""How much CPU observability costs a turn: switched off, at full sampling, and at a ratio of 0.1.

Each side is a process of its own, and the sides alternate; a collector on this machine takes what they export. `bare`
is the project without the calls to observers. Exits with 1 when a side costs more than its limit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from benchmarks.project import make, repetitions

OFF = 1.02  # times `bare`
FULL = 1.5  # milliseconds more than `off`
RATIO = 1.10  # times `off`
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


def main(rounds: int) -> int:
    taken: dict[str, list[float]] = {side: [] for side in SIDES}
    script = Path(__file__).with_name("inside_observability.py")
    with tempfile.TemporaryDirectory() as folder, sink() as endpoint:
        here = make(Path(folder) / "project", ["path=tac", "observability=otlp"])
        for _ in range(rounds):
            for side, variables in SIDES.items():
                command = [str(here / ".venv" / "bin" / "python"), str(script), side, endpoint]
                environment = {**os.environ, "PYTHONPATH": str(here), "PYTHONHASHSEED": "0", **variables}
                printed = subprocess.check_output(command, cwd=here, env=environment, encoding="utf-8")
                taken[side].append(json.loads(printed.splitlines()[-1]))
    best = {side: min(values) for side, values in taken.items()}  # other work of the machine only adds
    for side, milliseconds in best.items():
        beside = "bare" if side == "off" else "off"
        more, times = milliseconds - best[beside], milliseconds / best[beside]
        print(f"{side:<6} {milliseconds:6.2f} ms of CPU a turn  {more:+5.2f} ms, {times:4.2f} times {beside}")
    off = best["off"]
    return off > OFF * best["bare"] or best["full"] - off > FULL or best["ratio"] > RATIO * off


if __name__ == "__main__":
    sys.exit(main(repetitions(__doc__, 5)))
