"""How many phone calls a server holds, and what a turn costs, beside Twilio's quickstart for TAC with the same brain.

Every server is a process behind a real socket, and gets signed requests. `echo` is the floor: the same frames without a
brain. At saturation every caller speaks on at once, and the model takes no time: that is CPU a turn. The servers take
calls in alternation, so that other work of the machine costs all of them the same; a ratio is the median of the rounds.
The first core is the server's, the second the callers'. Exits with 1 when a limit is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from random import Random
from time import monotonic, process_time

from benchmarks.project import ROOT, make
from benchmarks.relay_calls import Call, Tally, request

PROJECTS = {
    "TAC l1": ["path=tac"],
    "manual l1": ["path=manual"],
    "TAC l4": ["path=tac", "level=4"],
    "manual l4": ["path=manual", "level=4"],
    "Strands": ["path=aws"],
    "Agent Framework": ["path=azure"],
}
RATIOS = {"TAC l1": 1.05, "manual l1": 1.05, "TAC l4": 1.25, "manual l4": 1.25}  # times the quickstart
SERVERS = ["echo", "quickstart", *PROJECTS]
TURNS = [10, 60]  # of a call at saturation: the history grows
SATURATED = 20  # calls at once
START_TIMEOUT = 180.0  # seconds


class Server:
    """A server under test."""

    def __init__(self, name: str, project: Path, log: Path) -> None:
        self.name = name
        self.log = log
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        kind = name if name in ("echo", "quickstart") else "project"
        script = Path(__file__).with_name("inside_load.py")
        command = [str(project / ".venv" / "bin" / "python"), str(script), kind, str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(project), "PYTHONHASHSEED": "0"}
        with log.open("w") as output:
            self.process = subprocess.Popen(command, cwd=project, env=environment, stdout=output, stderr=output)

    async def usage(self, **query: float) -> dict[str, float]:
        """What the process has used; `think` and `word` set the delays of its model."""
        target = "/benchmark?" + "&".join(f"{name}={value}" for name, value in query.items())
        status, content = await request(self.port, "GET", target, {})
        assert status == 200, f"{self.name} answers {status}"
        used: dict[str, float] = json.loads(content)
        return used

    async def started(self) -> None:
        end = monotonic() + START_TIMEOUT
        while True:
            try:
                await self.usage()
                break
            except (OSError, AssertionError):
                if self.process.poll() is not None or monotonic() > end:
                    raise RuntimeError(f"{self.name} did not start: {self.log.read_text()[-2000:]}") from None
            await asyncio.sleep(0.1)
        pin(self.process.pid, 0)

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):  # the second does not wait for calls
            self.process.send_signal(number)
            try:
                self.process.wait(5)
                return
            except subprocess.TimeoutExpired:
                continue


def pin(pid: int, core: int) -> None:
    """Keep server and callers apart, if there are two cores."""
    cores = sorted(os.sched_getaffinity(pid))
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[core]})


def instructions_are_counted() -> bool:
    """Whether `perf` counts on this machine. Most virtual machines have no counters."""
    try:
        tried = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
    except OSError:
        return False
    return tried.returncode == 0 and tried.stderr.split(",")[0].strip().isdigit()


COUNTED = instructions_are_counted()
UNIT = "million instructions" if COUNTED else "ms of CPU"


def perf(pid: int) -> subprocess.Popen[str]:
    command = ["perf", "stat", "-x,", "-e", "instructions:u", "-p", str(pid)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


class Cost:
    """What the block cost the server, in UNIT."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.total = 0.0

    async def __aenter__(self) -> Cost:
        self.perf = perf(self.server.process.pid) if COUNTED else None
        await asyncio.sleep(0.2 if COUNTED else 0)
        self.before = (await self.server.usage())["cpu"]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.total = 1000 * ((await self.server.usage())["cpu"] - self.before)
        if self.perf:
            self.perf.send_signal(signal.SIGINT)
            self.total = int(self.perf.communicate()[1].split(",")[0]) / 1e6


async def saturate(server: Server, calls: int, turns: int, tally: Tally) -> float:
    """The cost of a turn when every caller speaks on at once. Beginning and end of calls are not in it."""
    lines = [Call(server.port, tally) for _ in range(calls)]
    admitted = [line for line in lines if await line.dial()]
    assert admitted, f"{server.name} refuses every call"
    await asyncio.sleep(0.2)  # until hooks that run beside the start of a call are through

    async def speak(line: Call) -> None:
        for _ in range(turns):
            if not await line.turn():
                break

    before = tally.turns
    async with Cost(server) as cost:
        await asyncio.gather(*map(speak, admitted))
    await asyncio.gather(*(line.hang_up() for line in admitted))
    return cost.total / max(1, tally.turns - before)


async def saturation(servers: Sequence[Server], options: argparse.Namespace) -> list[str]:
    """Print cost and ratio of every server. Returns the limits that are broken."""
    broken: list[str] = []
    tallies = {server.name: Tally() for server in servers}
    order = Random(0)
    for server in servers:
        await saturate(server, 2, 10, Tally())  # warm
    for turns in options.turns:
        cost: dict[str, list[float]] = {server.name: [] for server in servers}
        for _ in range(options.rounds):
            for server in order.sample(servers, len(servers)):
                cost[server.name].append(await saturate(server, options.saturated, turns, tallies[server.name]))
        rival = cost.get("quickstart")
        for name, values in cost.items():
            line = f"{turns:3} turns a call  {name:<16} {statistics.median(values):6.2f} {UNIT} a turn"
            if rival:
                ratios = [own / other for own, other in zip(values, rival, strict=True)]
                ratio, limit = statistics.median(ratios), RATIOS.get(name)
                line += f"  {ratio:5.2f} times the quickstart ({min(ratios):.2f} to {max(ratios):.2f})"
                if limit and ratio > limit:
                    broken.append(f"{name} at {turns} turns a call: {ratio:.2f} times the quickstart, limit {limit}")
            print(line, flush=True)
    for name, tally in tallies.items():
        if tally.lost or tally.apologised or tally.held or tally.refused:
            broken.append(f"{name} at saturation: {counts(tally)}")
    return broken


def counts(tally: Tally) -> str:
    return (
        f"{tally.turns} turns answered, {tally.lost} lost, {tally.apologised} apologised for, {tally.held} held; "
        f"{tally.admitted} calls admitted, {tally.refused} refused"
    )


@contextmanager
def projects(names: Sequence[str], template: Path, kept: Path | None) -> Iterator[dict[str, Path]]:
    """The project of each server. The quickstart and the floor run in that of TAC."""
    with tempfile.TemporaryDirectory() as folder:
        where = {}
        for name in names:
            project = name if name in PROJECTS else "TAC l1"
            where[name] = (kept or Path(folder)) / project.replace(" ", "-")
            if not where[name].exists():
                make(where[name], PROJECTS[project], template)
        yield where


@asynccontextmanager
async def running(names: Sequence[str], where: dict[str, Path]) -> AsyncGenerator[list[Server]]:
    async with AsyncExitStack() as stack:
        servers = []
        for name in names:
            server = Server(name, where[name], where[name].parent / f"{name}.log")
            stack.callback(server.stop)
            servers.append(server)
        for server in servers:
            await server.started()
        pin(0, 1)
        yield servers


async def run(options: argparse.Namespace, where: dict[str, Path]) -> list[str]:
    began, cpu = monotonic(), process_time()
    async with running(options.only, where) as servers:
        broken = await saturation(servers, options)
    share = (process_time() - cpu) / (monotonic() - began)
    print(f"the callers took {100 * share:.0f} % of their core")
    return broken


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--only", type=lambda names: names.split(","), default=SERVERS, help=", ".join(SERVERS))
    arguments.add_argument("--turns", type=lambda given: [int(each) for each in given.split(",")], default=TURNS)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--saturated", type=int, default=SATURATED, help="calls at once at saturation")
    arguments.add_argument("--template", type=Path, default=ROOT, help="a clone of this repository to render instead")
    arguments.add_argument("--projects", type=Path, help="a folder that keeps the projects for the next run")
    options = arguments.parse_args()
    with projects(options.only, options.template, options.projects) as where:
        broken = asyncio.run(run(options, where))
    for limit in broken:
        print(f"BROKEN: {limit}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
