"""The callers of the load test: what they count as refused, lost or apologised for, and when a soaked server leaks."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from argparse import Namespace
from contextlib import asynccontextmanager
from typing import Any

import pytest

from benchmarks import load, relay_calls
from benchmarks.relay_calls import SAYS, Call, Line, Tally, sign

CONNECTS = """<Response><Connect action="https://agent.example/connect-action">
  <ConversationRelay url="wss://agent.example/ws"><Parameter name="token" value="t"/></ConversationRelay>
</Connect></Response>"""
WORDS = "<Response><Say>Try later.</Say><Hangup/></Response>"


def frame(**fields: Any) -> bytes:
    """A text that a server sends. A long one has its length in two bytes."""
    content = json.dumps(fields).encode()
    size = bytes([len(content)]) if len(content) < 126 else b"\x7e" + len(content).to_bytes(2, "big")
    return b"\x81" + size + content


ANSWER = frame(type="text", token=SAYS, last=False) + frame(type="text", token="", last=True)


@asynccontextmanager
async def server(twiml: str = CONNECTS, status: int = 200, *, upgrade: int = 101, answer: bytes = ANSWER) -> Any:
    """Yields the port, and a list of the requests and frames that came. `answer` b"" closes the connection."""
    received: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        received.append(head)
        if "Upgrade: websocket" in head:
            writer.write(f"HTTP/1.1 {upgrade} Given\r\n\r\n".encode())
            while upgrade == 101 and (prefix := await reader.read(2)):
                size = prefix[1] & 0x7F
                size = int.from_bytes(await reader.readexactly(2), "big") if size == 126 else size
                await reader.readexactly(4)
                received.append((await reader.readexactly(size)).decode("utf-8", "replace"))
                if '"prompt"' in received[-1]:
                    if not answer:
                        break
                    writer.write(answer)
        else:
            writer.write(f"HTTP/1.1 {status} Given\r\nContent-Length: {len(twiml)}\r\n\r\n{twiml}".encode())
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1], received


def one_call(turns: int = 1, **options: Any) -> tuple[Tally, list[str]]:
    async def run() -> tuple[Tally, list[str]]:
        tally = Tally()
        async with server(**options) as (port, received):
            await load.phone_call(Call(port, tally), turns)
        return tally, received

    return asyncio.run(run())


def test_the_signature_is_twilios() -> None:
    """Of https://www.twilio.com/docs/usage/security#validating-requests, with this account's token."""
    form = {"CallSid": "CA1", "From": "+15005550006"}
    signed = b"https://agent.example/twimlCallSidCA1From+15005550006"
    expected = base64.b64encode(hmac.new(b"example-auth-token", signed, hashlib.sha1).digest()).decode()
    assert sign("https://agent.example/twiml", form) == expected


def test_a_call_is_dialled_as_twilio_does() -> None:
    tally, received = one_call(turns=2)
    assert (tally.admitted, tally.turns, tally.lost, tally.apologised, tally.held) == (1, 2, 0, 0, 0)
    assert len(tally.first) == len(tally.last) == 2
    twiml, upgrade, setup, *prompts, end = [each for each in received if not each.startswith("\x03")]
    assert twiml.startswith("POST /twiml") and "X-Twilio-Signature" in twiml
    assert f"X-Twilio-Signature: {sign('wss://agent.example/ws')}" in upgrade
    assert json.loads(setup)["customParameters"] == {"token": "t"}
    assert [json.loads(each)["type"] for each in prompts] == ["prompt", "prompt"]
    assert end.startswith("POST /connect-action")


@pytest.mark.parametrize("options", [{"status": 503}, {"twiml": WORDS}, {"upgrade": 403}], ids=str)
def test_a_refused_call_has_no_turns(options: dict[str, Any]) -> None:
    tally, _ = one_call(**options)
    assert (tally.refused, tally.admitted, tally.turns, tally.lost) == (1, 0, 0, 0)


def test_a_turn_is_lost_when_the_connection_closes() -> None:
    tally, _ = one_call(turns=3, answer=b"")
    assert (tally.admitted, tally.turns, tally.lost) == (1, 0, 1)


def test_a_turn_is_lost_without_its_last_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_calls, "TURN_TIMEOUT", 0.05)
    tally, _ = one_call(answer=frame(type="text", token=SAYS, last=False))
    assert (tally.turns, tally.lost) == (0, 1)


@pytest.mark.parametrize(
    ("said", "apologised", "held"),
    [("Sorry, I did not get that.", 1, 0), (f"One moment. {SAYS}", 0, 1), (f"{SAYS[:20]} Sorry.", 1, 0)],
)
def test_an_answer_of_other_words_is_an_apology(said: str, apologised: int, held: int) -> None:
    tally, _ = one_call(answer=frame(type="text", token=said, last=True))
    assert (tally.turns, tally.apologised, tally.held) == (1, apologised, held)


def test_frames_are_read_whatever_packets_they_come_in() -> None:
    async def run() -> list[Any]:
        line = Line()
        long = frame(type="text", token="x" * 300, last=False)
        for each in b"HTTP/1.1 101 Switching\r\nA: b\r\n\r\n" + long + ANSWER:
            line.data_received(bytes([each]))
        assert line.upgraded.result() == 101
        frames = [line.frames.get_nowait() for _ in range(line.frames.qsize())]
        return [frame and frame["token"] for frame in frames]

    assert asyncio.run(run()) == ["x" * 300, SAYS, ""]


class Soaked:
    """A server whose figures are given."""

    name, descriptors = "server", 10

    def __init__(self, kilobytes: float, tasks: int) -> None:
        self.kilobytes, self.tasks, self.done = kilobytes, tasks, 0

    @property
    def memory(self) -> float:
        return 100 + min(self.done, 50) + self.kilobytes * self.done / 1000

    async def wait_until_idle(self) -> None:
        """It is."""

    async def ask(self, path: str, **query: Any) -> dict[str, float]:
        return {"tasks": 5 + self.tasks * self.done, "sessions": 0}

    async def one(self, number: int) -> None:
        self.done += 1


@pytest.mark.parametrize(
    ("kilobytes", "tasks", "broken"), [(0, 0, []), (9, 0, ["kB stay"]), (0, 1, ["tasks"]), (9, 1, ["tasks", "kB stay"])]
)
def test_a_server_that_leaks_breaks_a_limit(kilobytes: float, tasks: int, broken: list[str]) -> None:
    """What it needs once, at its first calls, is no leak."""
    soaked: Any = Soaked(kilobytes, tasks)
    found = asyncio.run(load.repeat(soaked, "calls", 400, soaked.one))
    assert soaked.done == 400 and len(found) == len(broken)
    assert all(part in limit for part, limit in zip(broken, found, strict=True))


class Measured:
    """A server without a call."""

    port, memory, descriptors = 0, 100.0, 10

    def __init__(self, name: str) -> None:
        self.name = name

    async def ask(self, path: str, **query: Any) -> dict[str, float]:
        return {"cpu": 0.0}


def options(**given: Any) -> Namespace:
    defaults = {"turns": [10], "rounds": 3, "saturated": None, "count": "cpu", "smoke": False}
    return Namespace(**{**defaults, "calls": [10, 200], "seconds": 0.0, **given})


@pytest.mark.parametrize(
    ("cost", "lost", "smoke", "broken"),
    [
        ([4.1, 4.1, 9.0], 0, False, ""),  # once the machine was busy
        ([4.1, 4.3, 4.3], 0, False, "TAC l1 at 10 turns a call: 1.07 times the quickstart, limit 1.05"),
        ([8.0, 8.0, 8.0], 0, True, ""),
        ([4.0, 4.0, 4.0], 1, True, "TAC l1 at saturation: 0 turns answered, 3 lost"),
    ],
)
def test_a_dear_turn_breaks_a_limit(
    cost: list[float], lost: int, smoke: bool, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is for the median of the rounds, each beside the quickstart of the same round."""
    costs = {"TAC l1": iter(cost), "quickstart": iter([4.0, 4.0, 4.0])}

    async def saturate(server: Any, calls: int, turns: int, tally: Tally) -> float:
        tally.lost += lost
        return next(costs[server.name])

    async def warm(call: Call, turns: int) -> None:
        """Nothing."""

    monkeypatch.setattr(load, "saturate", saturate)
    monkeypatch.setattr(load, "phone_call", warm)
    servers: Any = [Measured(name) for name in costs]
    found = asyncio.run(load.saturation(servers, options(smoke=smoke)))
    assert len(found) == bool(broken) and "".join(found).startswith(broken)


@pytest.mark.parametrize(
    ("name", "slowest", "apologised", "broken"),
    [
        ("TAC l1", 0.79, 0, []),
        ("TAC l1", 0.81, 0, ["p95 to the first token 810 ms at 200 calls and 400 ms at 10"]),
        ("TAC l1", 0.4, 1, ["at 10 calls", "at 200 calls"]),
        ("quickstart", 0.9, 1, []),  # it has no limits
    ],
)
def test_lost_turns_and_slow_ones_break_a_limit(
    name: str, slowest: float, apologised: int, broken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    many = 200

    async def paced_call(call: Call, begins: float, ends: float, random: Any) -> None:
        tally = call.tally
        tally.turns, tally.apologised = tally.turns + 1, apologised
        tally.first.append(0.4)
        if len(tally.first) > 10:
            tally.first[:] = [slowest] * many

    monkeypatch.setattr(load, "paced_call", paced_call)
    monkeypatch.setattr(load, "ARRIVALS", float("inf"))
    server: Any = Measured(name)
    found = asyncio.run(load.paced(server, options()))
    assert len(found) == len(broken)
    assert all(part in limit for part, limit in zip(broken, found, strict=True))
