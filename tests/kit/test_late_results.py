"""Tools that block a thread for too long: the conversation goes on, and later turns know what became of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic_ai import messages as m

from app.runtimes import TOOL_TIMED_OUT, tools
from app.store import InProcess
from kit.activity import wait_until
from kit.testing import Begin, Session, Talk


class Blocking:
    """A tool that blocks until it is released. Its limit is short."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.times = 0

    @property
    def book(self) -> Callable[..., Any]:
        def book(day: str) -> Any:
            """Book a table."""
            self.times += 1
            self.released.wait(30)
            if day == "never":
                raise RuntimeError("secret")
            return {"booked": day}

        return book

    async def finish(self, talk: Talk) -> None:
        self.released.set()
        await wait_until(lambda: not talk.app.state.brain.waiting, "the result has not been kept")


@pytest.fixture
def blocking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Blocking]:
    with_timeout = tools.with_timeout
    monkeypatch.setattr(tools, "with_timeout", lambda limit, *args, **kwargs: with_timeout(0.05, *args, **kwargs))
    blocking = Blocking()
    yield blocking
    blocking.released.set()


@pytest.mark.parametrize(("day", "outcome"), [("monday", "monday"), ("never", "The tool failed (RuntimeError)")])
async def test_the_result_of_a_tool_that_timed_out_is_known_when_it_is_done(
    begin: Begin, blocking: Blocking, day: str, outcome: str
) -> None:
    rules = {"hears": "book", "calls": {"book": {"day": day}}}, {"says": "Yes."}
    talk = await begin(*rules, tools=[blocking.book])
    assert "Its outcome is not known" in (await talk.says("book")).text
    assert (await talk.says("Are you there?")).text == "Yes."
    assert results(await talk.session()) == [TOOL_TIMED_OUT]
    await blocking.finish(talk)
    assert (await talk.says("Is it done?")).text == "Yes."
    (known,) = results(await talk.session())
    assert outcome in known and "secret" not in known and blocking.times == 1


def results(session: Session) -> list[str]:
    """The results of tools in the history."""
    parts = [part for message in session.history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, m.ToolReturnPart)]


async def test_the_store_keeps_no_result_that_is_in_the_history(begin: Begin) -> None:
    async def book(day: str) -> str:
        """Book a table."""
        return "booked"

    store = InProcess()
    talk = await begin({"hears": "book", "calls": {"book": {"day": "monday"}}}, tools=[book], store=store)
    assert (await talk.says("Please book")).tools == ["book"]
    await wait_until(lambda: not talk.app.state.brain.waiting, "a result is being kept")
    assert not [key for key in store.values if key.startswith("late-result:")]
