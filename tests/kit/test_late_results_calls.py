"""Tools that finish after the caller has spoken again: later turns know the result, on any worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.store import InProcess
from app.turn import TOOL_UNFINISHED
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, calls_of
from kit.conventions import build_model
from kit.local_server import serve
from kit.scripted_model import last_exchange, tool_calls
from kit.testing import Dial


class Booking:
    """Tools that wait for `release`. `seen` has what the model knew of their outcomes, request by request."""

    def __init__(self) -> None:
        self.begun = 0
        self.released = threading.Event()
        self.finished = 0
        self.seen: list[str] = []

    async def book(self, day: str) -> Any:
        """Book a table."""
        self.begun += 1
        while not self.released.is_set():
            await asyncio.sleep(0.005)
        self.finished += 1
        return {"booked": day}

    def book_in_a_thread(self, day: str) -> Any:
        """Book a table."""
        self.begun += 1
        self.released.wait(30)
        self.finished += 1
        return {"booked": day}

    async def fail(self, day: str) -> Any:
        """Book a table."""
        await self.book(day)
        raise RuntimeError("secret")

    async def stream(self, messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
        text, results = last_exchange(messages)
        self.seen.append(str([messages, info.instructions]))
        if text.startswith("book") and not results:
            calls = [tool_calls({name: {"day": day}})[1] for name, day in zip(text.split(), DAYS, strict=False)]
            yield dict(enumerate(calls, 1))
        else:
            yield "Yes."

    def model(self) -> Any:
        return build_model(FunctionModel(stream_function=self.stream))

    @property
    def tools(self) -> list[Callable[..., Any]]:
        async def book(day: str) -> Any:
            """Book a table."""
            return await self.book(day)

        def book_in_a_thread(day: str) -> Any:
            """Book a table."""
            return self.book_in_a_thread(day)

        async def book_in_vain(day: str) -> Any:
            """Book a table."""
            return await self.fail(day)

        return [book, book_in_a_thread, book_in_vain]

    async def begin(self, dial: Dial, text: str, **options: Any) -> Call:
        """A call in which the tools that `text` names are running."""
        call = await dial(models=[self.model()], tools=self.tools, deadline=30.0, **options)
        await call.begins(text)
        await wait_until(lambda: self.begun == len(text.split()), "a tool has not begun")
        return call

    async def finish(self, call: Call) -> None:
        self.released.set()
        await wait_until(lambda: self.finished == self.begun, "a tool has not finished")
        await wait_until(lambda: not call.app.state.brain.waiting, "a result has not been kept")


DAYS = ("monday", "tuesday")
RESULTS = {
    "book": ["monday"],
    "book_in_a_thread": ["monday"],
    "book book_in_a_thread": ["monday", "tuesday"],
    "book_in_vain": ["The tool failed (RuntimeError)"],
}


@pytest.fixture
def booking() -> Any:
    booking = Booking()
    yield booking
    booking.released.set()


def known(call: Call, booking: Booking) -> str:
    """What the model knew; Amazon Bedrock Agents gets results as text from the history, which no script sees."""
    seen = booking.seen[-1]
    return seen if "ToolReturnPart" in seen else str(call.session.history)


def unknown(seen: str) -> int:
    return seen.count("Its outcome is not known")


@pytest.mark.parametrize(("text", "results"), RESULTS.items(), ids=RESULTS.keys())
@pytest.mark.parametrize("interrupts", [True, False])
async def test_a_result_that_comes_after_the_next_turn_is_known_from_then_on(
    dial: Dial, booking: Booking, text: str, results: list[str], interrupts: bool
) -> None:
    call = await booking.begin(dial, text)
    if interrupts:
        await call.interrupts()
    assert (await call.says("Are you there?")).text == "Yes."
    assert unknown(known(call, booking)) and not any(
        result in known(call, booking) for result in ("'booked'", "RuntimeError")
    )
    assert (await call.says("And now?")).text == "Yes."  # not finished yet either
    await booking.finish(call)
    assert (await call.says("Is it booked?")).text == "Yes."
    assert not unknown(known(call, booking)) and all(result in known(call, booking) for result in results)
    assert TOOL_UNFINISHED not in str(call.session.history) and "secret" not in str(call.session.history)
    assert booking.begun == len(text.split())


async def test_a_result_is_known_after_the_call_has_come_back(dial: Dial, booking: Booking) -> None:
    call = await booking.begin(dial, "book")
    await call.drops()
    assert (await call.says("Are you there?")).text == "Yes."
    await booking.finish(call)
    assert (await call.says("Is it booked?")).text == "Yes."
    assert not unknown(known(call, booking)) and "monday" in known(call, booking)


class SharedInProcess(InProcess):
    shared = True


@pytest.mark.parametrize("late", [False, True])
async def test_a_result_is_known_on_another_worker(dial: Dial, booking: Booking, late: bool) -> None:
    store = SharedInProcess()
    call = await booking.begin(dial, "book", store=store)
    first, other = call.app, build_app(models=[booking.model()], tools=booking.tools, store=store, deadline=30.0)
    async with serve(other) as address:
        call.app, call.address, call._http.base_url = other, address, f"http://{address}"
        await call.drops()
        await wait_until(lambda: calls_of(other).get(call.sid), "the call has not moved")
        if late:
            assert (await call.says("Are you there?")).text == "Yes."
            assert unknown(known(call, booking))
        booking.released.set()
        await wait_until(lambda: not first.state.brain.waiting, "a result has not been kept")
        assert (await call.says("Is it booked?")).text == "Yes."
        assert not unknown(known(call, booking)) and "monday" in known(call, booking)
        await call.hangs_up()


async def test_a_turn_goes_on_without_a_store(dial: Dial, booking: Booking, monkeypatch: pytest.MonkeyPatch) -> None:
    call = await booking.begin(dial, "book")
    assert (await call.says("Are you there?")).text == "Yes."

    async def get(key: str) -> str | None:
        raise ConnectionError

    monkeypatch.setattr(call.app.state.brain.services.store, "get", get)
    assert (await call.says("Is it booked?")).text == "Yes."
    monkeypatch.undo()
    await booking.finish(call)
