"""How many phone calls a server holds, and what a turn costs, beside Twilio's quickstart for TAC with the same brain.

Every server is a process behind a real socket, and gets signed requests; `echo` is the floor: the same frames without a
brain. Three parts, each with limits; exits with 1 when one is broken.

saturation  every caller speaks on at once, and the model takes no time. The servers take calls in alternation, so that
            other work of the machine costs all of them the same; a ratio is the median of the rounds.
paced       so many calls at once, each with a pause after every answer; the model takes 0.3 s, and speaks in tokens.
soak        thousands of calls, then hundreds of conversations in writing: nothing of them may stay.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from time import monotonic, process_time

from benchmarks.load_server import UNITS, Server, perf_counts, running
from benchmarks.project import ROOT, make
from benchmarks.relay_calls import Call, Tally, Texter

PROJECTS = {
    "TAC l1": ["path=tac"],
    "manual l1": ["path=manual"],
    "TAC l4": ["path=tac", "level=4"],
    "manual l4": ["path=manual", "level=4"],
    "Strands": ["path=aws"],
    "Agent Framework": ["path=azure"],
}
SOAKED = {
    "TAC": ["path=tac", "channels=voice_and_messaging"],
    "manual": ["path=manual", "channels=voice_and_messaging"],
}
SERVERS = ["echo", "quickstart", *PROJECTS]
PARTS = ["saturation", "paced", "soak"]
RATIOS = {"TAC l1": 1.05, "manual l1": 1.05, "TAC l4": 1.25, "manual l4": 1.25}  # times the quickstart

TURNS = [10, 60]  # of a call at saturation: the history grows
SATURATED = {"cpu": 20, "perf": 20, "valgrind": 2}  # calls at once
ROUNDS = {"cpu": 5, "perf": 5, "valgrind": 1}
CALLS = [1, 10, 50, 200, 500]  # at once, paced
THINK, WORD = 0.3, 0.02  # seconds that the paced model takes to its first token, and between two
PAUSE = (2.0, 4.0)  # seconds from the last token to the next prompt
ARRIVALS = 25.0  # calls a second
SECONDS = 20.0  # that a paced row goes on after its last call has arrived
SLOWER = (10, 200, 2.0)  # the p95 at 200 calls may be twice that at 10
SOAK = 5000  # calls; a tenth as many conversations in writing
SOAKED_AT_ONCE, SOAK_TURNS = 20, 3
SAMPLES = 20  # of a soak
GROWTH = 4.0  # kB of memory that a call or a conversation may leave behind, in the second half of the soak
NOISE = 1000.0  # kB that the memory of a process grows and shrinks by
SPARE = {"descriptors": 2, "tasks": 2, "sessions": 0}  # more than at the first sample

SMOKE = {"turns": [3], "rounds": 1, "saturated": 2, "count": "cpu", "calls": [1, 4], "seconds": 5.0, "soak": 40}


async def saturate(server: Server, calls: int, turns: int, tally: Tally) -> float:
    """The cost of a turn when every caller speaks on at once. Beginning and end of calls are not in it."""
    lines = [Call(server.port, tally) for _ in range(calls)]
    admitted = [line for line in lines if await line.dial()]
    assert admitted, f"{server.name} refuses every call"
    await server.wait_until_idle()

    async def speak(line: Call) -> None:
        for _ in range(turns):
            if not await line.turn():
                break

    before = tally.turns
    async with server.cost() as cost:
        await asyncio.gather(*map(speak, admitted))
    await asyncio.gather(*(line.hang_up() for line in admitted))
    return cost[0] / max(1, tally.turns - before)


async def saturation(servers: Sequence[Server], options: argparse.Namespace) -> list[str]:
    """Print the cost of a turn of every server. Returns the limits that are broken."""
    broken: list[str] = []
    tallies = {server.name: Tally() for server in servers}
    order, unit, at_once = Random(0), UNITS[options.count], options.saturated or SATURATED[options.count]
    for server in servers:
        await server.ask("", think=0, word=0)
        warm = [Call(server.port, Tally()) for _ in range(2)]
        await asyncio.gather(*(phone_call(call, 10) for call in warm))
    for turns in options.turns:
        cost: dict[str, list[float]] = {server.name: [] for server in servers}
        for _ in range(options.rounds):
            for server in order.sample(servers, len(servers)):
                cost[server.name].append(await saturate(server, at_once, turns, tallies[server.name]))
        rival = cost.get("quickstart")
        for name, values in cost.items():
            line = f"saturation  {turns:3} turns a call  {name:<16} {statistics.median(values):6.2f} {unit} a turn"
            if rival:
                ratios = [own / other for own, other in zip(values, rival, strict=True)]
                ratio, limit = statistics.median(ratios), RATIOS.get(name)
                line += f"  {ratio:5.2f} times the quickstart ({min(ratios):.2f} to {max(ratios):.2f})"
                if limit and ratio > limit and not options.smoke:
                    broken.append(f"{name} at {turns} turns a call: {ratio:.2f} times the quickstart, limit {limit}")
            print(line, flush=True)
    for name, tally in tallies.items():
        if name in PROJECTS and (tally.lost or tally.apologised or tally.refused):
            broken.append(f"{name} at saturation: {counts(tally)}")
    return broken


async def phone_call(call: Call, turns: int) -> None:
    """A whole call whose caller makes no pause."""
    if await call.dial():
        for _ in range(turns):
            if not await call.turn():
                break
    await call.hang_up()


async def paced_call(call: Call, begins: float, ends: float, random: Random) -> None:
    await asyncio.sleep(begins - monotonic())
    if await call.dial():
        while True:
            await asyncio.sleep(random.uniform(*PAUSE))
            if monotonic() > ends or not await call.turn():
                break
    await call.hang_up()


async def paced(server: Server, options: argparse.Namespace) -> list[str]:
    """Print what callers hear of a server, at each number of calls. Returns the limits that are broken."""
    broken: list[str] = []
    slowest: dict[int, float] = {}
    await server.ask("", think=THINK, word=WORD)
    for count in options.calls:
        tally, random = Tally(), Random(count)
        began, cpu = monotonic(), process_time()
        used = (await server.ask(""))["cpu"]
        full = began + count / ARRIVALS
        calls = [Call(server.port, tally) for _ in range(count)]
        arrivals = [began + number / ARRIVALS for number in range(count)]
        speaking = asyncio.gather(
            *(paced_call(call, at, full + options.seconds, random) for call, at in zip(calls, arrivals, strict=True))
        )
        await asyncio.sleep(full + options.seconds - monotonic())
        memory, descriptors = server.memory, server.descriptors
        await speaking
        took = monotonic() - began
        share, busy = (process_time() - cpu) / took, ((await server.ask(""))["cpu"] - used) / took
        first, last = p50_p95(tally.first), p50_p95(tally.last)
        slowest[count] = first[1]
        print(
            f"paced  {count:3} calls  {server.name:<16} first token {shown(first)}, last {shown(last)}  "
            f"{counts(tally)}  {memory:.0f} MB, {descriptors} descriptors  CPU: server {busy:.0%}, callers {share:.0%}",
            flush=True,
        )
        if server.name in PROJECTS and (tally.lost or tally.apologised):
            broken.append(f"{server.name} at {count} calls: {counts(tally)}; no turn of an admitted call may be lost")
    few, many, times = SLOWER  # numbers of calls that a smoke test has not got
    if server.name in PROJECTS and {few, many} <= slowest.keys() and slowest[many] > times * slowest[few]:
        broken.append(
            f"{server.name}: p95 to the first token {1000 * slowest[many]:.0f} ms at {many} calls and "
            f"{1000 * slowest[few]:.0f} ms at {few}, limit {times} times"
        )
    return broken


def p50_p95(seconds: Sequence[float]) -> tuple[float, float]:
    """NaN without values."""
    ordered = sorted(seconds) or [float("nan")]
    return ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]


def shown(times: tuple[float, float]) -> str:
    return f"p50 {1000 * times[0]:.0f} ms p95 {1000 * times[1]:.0f} ms"


def counts(tally: Tally) -> str:
    return (
        f"{tally.turns} turns answered, {tally.lost} lost, {tally.apologised} apologised for, {tally.held} held; "
        f"{tally.admitted} calls admitted, {tally.refused} refused"
    )


async def soak(server: Server, options: argparse.Namespace) -> list[str]:
    """Calls, then conversations in writing, and what stays of them. Returns the limits that are broken."""
    await server.ask("", think=0, word=0)
    tally = Tally()

    async def call(number: int) -> None:
        await phone_call(Call(server.port, tally), SOAK_TURNS)

    async def conversation(number: int) -> None:
        await Texter(server.port, number, tally).converse(SOAK_TURNS)

    broken = await repeat(server, "calls", options.soak, call)
    broken += await repeat(server, "conversations in writing", max(1, options.soak // 10), conversation)
    if tally.lost or tally.apologised or tally.refused:
        broken.append(f"{server.name} soaked: {counts(tally)}")
    return broken


async def repeat(server: Server, kind: str, total: int, one: Callable[[int], Awaitable[None]]) -> list[str]:
    """Do `one` so often, some at once, and look at the server in between."""
    size = max(1, total // SAMPLES)
    done = 0
    samples: list[tuple[int, dict[str, float]]] = []
    while done < total:
        places = asyncio.Semaphore(SOAKED_AT_ONCE)

        async def placed(number: int, places: asyncio.Semaphore = places) -> None:
            async with places:
                await one(number)

        batch = range(done, min(total, done + size))
        await asyncio.gather(*map(placed, batch))
        done = batch.stop
        await server.wait_until_idle()
        counted = await server.ask("", count=1)
        samples.append((done, {**counted, "descriptors": server.descriptors, "memory": server.memory}))
    (_, first), (_, last), growth = samples[0], samples[-1], slope(samples[len(samples) // 2 :])
    more = ", ".join(f"{name} {first[name]:.0f} to {last[name]:.0f}" for name in [*SPARE, "memory"])
    print(f"soak  {total} {kind}  {server.name}: {more} MB, {growth:.2f} kB for each in the second half", flush=True)
    broken = [
        f"{server.name}, {total} {kind}: {name} {first[name]:.0f} to {last[name]:.0f}, limit {spare} more"
        for name, spare in SPARE.items()
        if last[name] > first[name] + spare
    ]
    if growth > GROWTH and growth * total / 2 > NOISE:
        broken.append(f"{server.name}, {total} {kind}: {growth:.2f} kB stay of each, limit {GROWTH}")
    return broken


def slope(samples: Sequence[tuple[int, dict[str, float]]]) -> float:
    """kB of memory for each call or conversation: least squares. 0 for fewer than two samples."""
    if len(samples) < 2:
        return 0.0
    return 1000 * statistics.linear_regression([at for at, _ in samples], [each["memory"] for _, each in samples]).slope


@contextmanager
def folder(kept: Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as temporary:
        yield kept or Path(temporary)


def start(name: str, answers: Sequence[str], where: Path, options: argparse.Namespace, count: str = "cpu") -> Server:
    """Start a server in its project, which is made unless it is there. Quickstart and floor run in that of TAC."""
    project = where / "-".join(answers).replace("=", "-")
    if not project.exists():
        make(project, answers, options.template)
    return Server(name, name if name in ("echo", "quickstart") else "project", project, count)


async def run(options: argparse.Namespace, where: Path) -> list[str]:
    broken: list[str] = []
    answers = {name: PROJECTS.get(name, PROJECTS["TAC l1"]) for name in options.only if name in SERVERS}
    if "saturation" in options.parts:
        servers = [start(name, given, where, options, options.count) for name, given in answers.items()]
        async with running(servers):
            broken += await saturation(servers, options)
    if "paced" in options.parts:
        for name, given in answers.items():
            server = start(name, given, where, options)
            async with running([server]):
                broken += await paced(server, options)
    if "soak" in options.parts:
        for name, given in SOAKED.items():
            server = start(name, given, where, options)
            async with running([server]):
                broken += await soak(server, options)
    return broken


def numbers(given: str) -> list[int]:
    return [int(each) for each in given.split(",")]


def names(given: str) -> list[str]:
    return given.split(",")


def main() -> int:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--parts", type=names, default=PARTS, help="some of " + ",".join(PARTS))
    arguments.add_argument("--only", type=names, default=SERVERS, help="some of " + ",".join(SERVERS))
    arguments.add_argument("--turns", type=numbers, default=TURNS, help="turns of a call at saturation")
    arguments.add_argument("--rounds", type=int, help="of each server at saturation")
    arguments.add_argument("--saturated", type=int, help="calls at once at saturation")
    arguments.add_argument("--count", choices=UNITS, default="perf" if perf_counts() else "cpu", help="at saturation")
    arguments.add_argument("--calls", type=numbers, default=CALLS, help="calls at once, paced")
    arguments.add_argument("--seconds", type=float, default=SECONDS, help="of each paced row")
    arguments.add_argument("--soak", type=int, default=SOAK, help="calls of the soak")
    arguments.add_argument("--smoke", action="store_true", help="little of everything, without limits of speed")
    arguments.add_argument("--template", type=Path, default=ROOT, help="another clone of this repository to render")
    arguments.add_argument("--projects", type=Path, help="a folder that keeps the projects for the next run")
    options = arguments.parse_args()
    options.rounds = options.rounds or ROUNDS[options.count]
    if options.smoke:
        options.__dict__ |= SMOKE
    if unknown := {*options.parts} - {*PARTS} | {*options.only} - {*SERVERS}:
        arguments.error(f"there is no {', '.join(sorted(unknown))}")
    with folder(options.projects) as where:
        broken = asyncio.run(run(options, where))
    for limit in broken:
        print(f"BROKEN  {limit}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
