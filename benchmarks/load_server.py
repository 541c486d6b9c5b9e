"""A server under test, and what counts its work."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from benchmarks.relay_calls import request

START_TIMEOUT = 900.0  # seconds; under valgrind it takes minutes
STOP_TIMEOUT = 5.0  # seconds
SETTLED = 0.6  # seconds after which a call that has begun is looked at: the first look-up of a conversation takes 0.5
UNITS = {"cpu": "ms of CPU", "perf": "million instructions", "valgrind": "million instructions"}


class Server:
    """A server in a process of its own, in a project. `count` is one of UNITS: the unit of `cost`."""

    def __init__(self, name: str, kind: str, project: Path, count: str = "cpu") -> None:
        self.name = name
        self.count = count
        self.log = project.parent / f"{name}.log"
        self.profile = project.parent / f"{name}.callgrind"
        self.dumps = 0
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        script = Path(__file__).with_name("inside_load.py")
        command = [str(project / ".venv" / "bin" / "python"), str(script), kind, str(self.port)]
        environment = {**os.environ, "PYTHONPATH": str(project), "PYTHONHASHSEED": "0"}
        if count == "valgrind":  # fifty times slower: nothing of it may look like a model that hangs
            command = ["valgrind", *self.valgrind_options(), *command]
            environment["AGENT_DEADLINE"] = "30"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(command, cwd=project, env=environment, stdout=output, stderr=output)

    def valgrind_options(self) -> list[str]:
        return ["--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={self.profile}"]

    async def ask(self, path: str, **query: Any) -> Any:
        """What a route of the benchmark answers."""
        target = f"/benchmark{path}?" + "&".join(f"{name}={value}" for name, value in query.items())
        status, content = await request(self.port, "GET", target, {})
        if status != 200:
            raise RuntimeError(f"{self.name} answers {status} to {target}")
        return json.loads(content)

    async def wait_until_started(self) -> None:
        end = monotonic() + START_TIMEOUT
        while True:
            try:
                await self.ask("")
                return
            except (OSError, RuntimeError):
                if self.process.poll() is not None or monotonic() > end:
                    raise RuntimeError(f"{self.name} did not start: {self.log.read_text()[-2000:]}") from None
            await asyncio.sleep(0.1)

    async def wait_until_idle(self) -> None:
        """Until nothing runs beside the calls: what happens at their start is no part of a turn."""
        await asyncio.sleep(SETTLED)
        end = monotonic() + 10
        while monotonic() < end:
            before = (await self.ask(""))["cpu"]
            await asyncio.sleep(0.2)
            if (await self.ask(""))["cpu"] - before < 0.01:
                return

    @asynccontextmanager
    async def cost(self) -> AsyncGenerator[list[float]]:
        """The list has the cost of the block, in the unit of `count`, when the block has ended."""
        cost: list[float] = []
        counted = self.perf() if self.count == "perf" else None
        if self.count == "valgrind":
            self.control("-i", "on")
        await asyncio.sleep(0.2 if counted else 0)
        before = (await self.ask(""))["cpu"]
        yield cost
        cost.append(1000 * ((await self.ask(""))["cpu"] - before))
        if counted:
            counted.send_signal(signal.SIGINT)
            cost[:] = [int(counted.communicate()[1].split(",")[0]) / 1e6]
        if self.count == "valgrind":
            self.control("-i", "off")
            self.control("-d")
            self.dumps += 1
            dumped = self.profile.with_name(f"{self.profile.name}.{self.dumps}").read_text()
            cost[:] = [int(each) / 1e6 for each in re.findall(r"^totals: (\d+)", dumped, re.MULTILINE)]

    def perf(self) -> subprocess.Popen[str]:
        command = ["perf", "stat", "-x,", "-e", "instructions:u", "-p", str(self.process.pid)]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def control(self, *command: str) -> None:
        options: Mapping[str, Any] = {"check": True, "capture_output": True}
        subprocess.run(["callgrind_control", *command, str(self.process.pid)], **options)

    @property
    def memory(self) -> float:
        """Resident, in MB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self) -> None:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):  # the second does not wait for calls
            self.process.send_signal(number)
            try:
                self.process.wait(STOP_TIMEOUT)
                return
            except subprocess.TimeoutExpired:
                continue


@asynccontextmanager
async def running(servers: Sequence[Server]) -> AsyncGenerator[None]:
    """The first core is the servers', the second the callers', once all have started."""
    callers = os.sched_getaffinity(0)
    try:
        for server in servers:
            await server.wait_until_started()
        if len(cores := sorted(callers)) > 1:
            for server in servers:
                pin(server.process.pid, cores[0])
            pin(0, cores[1])
        yield
    finally:
        os.sched_setaffinity(0, callers)
        for server in servers:
            server.stop()


def pin(pid: int, core: int) -> None:
    for thread in os.listdir(f"/proc/{pid or 'self'}/task"):
        os.sched_setaffinity(int(thread), {core})


def perf_counts() -> bool:
    """Most virtual machines have no counters."""
    try:
        tried = subprocess.run(["perf", "stat", "-x,", "-e", "instructions:u", "true"], capture_output=True, text=True)
    except OSError:
        return False
    return tried.returncode == 0 and tried.stderr.split(",")[0].strip().isdigit()
