"""A model and a tool that fail: what the other party gets, what is kept and what is logged, as docs/operate.md says."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, FunctionModel

from app.capability import Timeouts
from app.history import UNANSWERED
from kit import defaults
from kit.activity import wait_until
from kit.conventions import build_model
from kit.scripted_model import last_exchange, tool_calls
from kit.testing import Begin, Session, Talk
from kit.webhook import sign
from tests.kit.fault_table import ROWS, Row, holds
from tests.kit.routes import routes_of
from tests.kit.test_signed_routes import PATHS

QUESTION = "Where is it?"
NEXT = {"says": "Yes."}


def says(row: Row, talk: Talk, rest: str = "") -> str:
    """A reply of the phrases of a row and the rest: a text conversation has no HOLD."""
    phrases = [getattr(talk.driver.phrases, name, "") for name in row.phrases]
    first = phrases[:-1] if rest and row.phrases[-1:] == ["APOLOGY"] else phrases
    return " ".join(filter(None, [*first, rest, *phrases[len(first) :]]))


def plain(text: str) -> str:
    return " ".join(text.split())


async def history(talk: Talk) -> list[Any]:
    """The parts of the history that the next turn sees."""
    session: Session = await talk.session()
    messages = [*session.history, *(session.turn.history() if session.turn else [])]
    return [part for message in messages for part in message.parts]


def of(parts: list[Any], kind: type[Any]) -> list[str]:
    return [plain(str(part.content)) for part in parts if isinstance(part, kind) and str(part.content).strip()]


# --- models -------------------------------------------------------------------------------------------------------

Deltas = AsyncIterator[str | dict[int, DeltaToolCall]]


class Endless:
    """A model that sends words, or calls a tool, for ever. It says yes to another question."""

    def __init__(self, word: str) -> None:
        self.word = word
        self.sent = 0

    async def stream(self, messages: list[m.ModelMessage], info: AgentInfo) -> Deltas:
        if last_exchange(messages)[0] != QUESTION:
            yield "Yes."
            return
        if not self.word:
            yield tool_calls({"look": {}})
        while self.word:
            yield self.word
            self.sent += 1
            await asyncio.sleep(0.002)

    @property
    def options(self) -> dict[str, Any]:
        return {"models": [build_model(FunctionModel(stream_function=self.stream))], "tools": [look]}


def look() -> str:
    """Look."""
    return "found"


MODELS: dict[str, tuple[dict[str, Any], str]] = {  # what the model does, and what it says before it fails
    "the model gives no word": ({"hangs": True}, ""),
    "the model answers with an error": ({"fails": True}, ""),
    "the model answers without a word": ({"says": " \n"}, ""),
    "the model breaks off": ({"says": "It is", "breaks_off": True}, "It is"),
    "the model calls tools for ever": ({}, ""),
    "the model sends words for ever": ({}, "word"),
}


@pytest.mark.parametrize("fault", MODELS)
async def test_a_failure_of_the_model(begin: Begin, logged: Callable[[], str], fault: str) -> None:
    row, (rule, words) = ROWS[fault], MODELS[fault]
    deadline = 0.1 if words == "word" or "hangs" in rule else 30.0
    rules = [{"hears": "where", **rule}, NEXT] if rule else []
    talk = await begin(*rules, deadline=deadline, **({} if rule else Endless(words and f"{words} ").options))
    reply = plain((await talk.says(QUESTION)).text)
    if words == "word":
        words = reply.removesuffix(talk.apology).strip()
        assert words.count("word") > 3
    assert reply == says(row, talk, words)
    parts = await history(talk)
    assert of(parts, m.TextPart) == [reply]
    asked = {
        "the question and the reply": [QUESTION],
        "the reply, and that something was asked": [UNANSWERED],
        "the question, the calls and the reply": [QUESTION],
    }
    assert of(parts, m.UserPromptPart) == asked[row.kept]
    assert bool(of(parts, m.ToolReturnPart)) == ("calls" in row.kept)
    assert (await talk.says("Hello?")).text.endswith("Yes.")
    assert holds(row, logged())


# --- tools --------------------------------------------------------------------------------------------------------


def raises() -> str:
    """Look."""
    raise RuntimeError("secret")


def exits() -> str:
    """Look."""
    sys.exit(1)


async def blocks() -> str:
    """Look."""
    time.sleep(0.3)  # noqa: ASYNC251
    return "found"


def large() -> str:
    """Look."""
    return "x" * 300_000


TOOLS: dict[str, tuple[Callable[..., Any], str]] = {  # a tool, and how its result in the history begins and ends
    "a tool raises an error": (raises, "The tool failed (RuntimeError). … way."),
    "a tool exits": (exits, "The tool failed (SystemExit). … way."),
    "an async tool blocks the event loop": (blocks, "fou…und"),
    "a tool returns more than 20,000 characters": (large, "xxx…[Cut: 280060 more characters are left out.]"),
}


@pytest.mark.parametrize("fault", TOOLS)
async def test_a_failure_of_a_tool(begin: Begin, logged: Callable[[], str], fault: str) -> None:
    row, (tool, result) = ROWS[fault], TOOLS[fault]
    rule = {"hears": "where", "calls": {tool.__name__: {}}, "then": "So: {result}"}
    talk = await begin(rule, NEXT, tools=[tool], timeouts=Timeouts(blocked=0.02))
    reply = plain((await talk.says(QUESTION)).text)
    start, end = (text.strip() for text in result.split("…"))
    assert reply.startswith(f"So: {start}") and "secret" not in reply
    (kept,) = of(await history(talk), m.ToolReturnPart)
    assert kept.startswith(start) and kept.endswith(end) and len(kept) < 21_000
    assert (await talk.says("Hello?")).text == "Yes."
    log = logged()
    assert holds(row, log) and "secret" not in log


async def test_a_tool_that_is_late(begin: Begin, logged: Callable[[], str]) -> None:
    row, released = ROWS["a tool takes more than twice `AGENT_DEADLINE`"], threading.Event()

    def book() -> str:
        """Book."""
        released.wait(30)
        return "booked"

    # Two deadlines for the tool, then about three for the model: a busy machine needs time to ask it.
    talk = await begin(
        {"hears": "where", "calls": {"book": {}}, "then": "So: {result}"}, NEXT, tools=[book], deadline=0.8
    )
    reply = plain((await talk.says(QUESTION)).text)
    start = says(row, talk, "So: The tool failed (TimeoutError): it took too long.")
    assert reply.startswith(start)
    released.set()
    await wait_until(lambda: not talk.app.state.brain.waiting, "the result has not been kept")
    assert (await talk.says("Hello?")).text == "Yes."
    assert of(await history(talk), m.ToolReturnPart) == ["booked"]
    assert holds(row, logged())


# --- requests -----------------------------------------------------------------------------------------------------

BODIES = {
    "a signed webhook has a body that cannot be read": (b"\xff\xfe{" + b"[" * 100_000, 400),
    "a webhook has more than 1 MB": (b"a" * (1024 * 1024 + 1), 413),
    "a webhook is not signed": (b"{}", 403),
}


@pytest.mark.parametrize("fault", BODIES)
async def test_a_webhook_is_no_good(begin: Begin, logged: Callable[[], str], fault: str) -> None:
    talk, (body, status) = await begin({"says": "Yes."}), BODIES[fault]
    transport = httpx2.ASGITransport(talk.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://10.0.0.7:8000") as http:
        posted = [path for method, path in routes_of(talk.app)[0] if method == "POST"]
        for path in posted if status == 413 else PATHS:  # the others are not Twilio's
            target = f"{path}?bodySHA256={hashlib.sha256(body).hexdigest()}"
            signatures = [sign(f"{defaults.PUBLIC_URL}{target}")] if status == 400 else [None, "", "x" * 28]
            for signature in signatures:
                headers = {"X-Twilio-Signature": signature} if signature is not None else {}
                answer = await http.post(target, content=body, headers={"Content-Type": "application/json", **headers})
                found = answer.status_code
                assert found == status or (status, found) == (400, 403), path  # no form, no JSON
    assert (await talk.says("Hello")).text == "Yes."
    assert holds(ROWS[fault], logged(), *(["signature.refused"] if status == 400 else []))


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400)], ids=str)
async def test_the_clock_jumps(begin: Begin, logged: Callable[[], str], jump: timedelta) -> None:
    now = [datetime.now(UTC)]
    talk = await begin({"says": "Yes."}, now=lambda: now[0])
    for text in ("I am Ada", "Where am I?", "Are you there?"):
        assert (await talk.says(text)).text == "Yes."
        now[0] += jump
    assert "i am ada" in await talk.history_text() and holds(ROWS["the clock jumps, forward or back"], logged())
