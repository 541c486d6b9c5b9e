"""For the tests of runtimes with a tool loop of another framework or service: waits, and interrupted turns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from pydantic_ai import messages as m
from pydantic_ai.models.function import AgentInfo, FunctionModel

from kit.activity import wait_until
from kit.caller import Call
from kit.conventions import build_model
from kit.voice_fixtures import Dial

DEADLINE = 10.0  # seconds of silence; only `advance_clock` makes them pass
LIMIT = 30.0  # seconds after which a test fails that waits for an event


def event_loop_runs(loop: asyncio.AbstractEventLoop) -> bool:
    """False if the event loop is blocked while this thread waits for it. Called on the loop, it waits for LIMIT."""
    ran = threading.Event()
    loop.call_soon_threadsafe(ran.set)
    return ran.wait(LIMIT)


async def until(condition: Callable[[], Any]) -> None:
    await wait_until(condition, "the condition is not met", LIMIT)


class InterruptedTurns:
    """The tests; a runtime's own tests derive from it."""

    def check(self, history: Sequence[m.ModelMessage]) -> None:
        """Raises for a history that the service would reject."""

    async def three_more_turns(self, call: Call) -> None:
        for text in ("one", "two", "three"):
            assert (await call.says(text)).text == "Yes."
            assert call.session.refusals == 0  # the service took the whole history
        self.check(call.session.history)

    async def test_the_history_holds_the_text_that_the_caller_heard(self, dial: Dial) -> None:
        call = await dial({"hears": "story", "says": "Once upon a time", "word_delay": 0.05}, {"says": "Yes."})
        await call.begins("Tell me a story")
        assert "Once upon" in await call.interrupts(after="Once upon")
        await self.three_more_turns(call)
        assert [part.content for part in call.session.history[1].parts] == ["Once upon"]

    async def test_the_history_is_valid_after_an_interruption_before_the_first_token(self, dial: Dial) -> None:
        begun = asyncio.Event()

        async def script(messages: list[m.ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
            if not begun.is_set():
                begun.set()
                await asyncio.Event().wait()
            yield "Yes."

        call = await dial(models=[build_model(FunctionModel(stream_function=script))])
        await call.begins("Tell me a story")
        await begun.wait()
        await call.interrupts()
        await self.three_more_turns(call)

    async def test_a_running_tool_finishes_and_its_result_is_kept(self, dial: Dial) -> None:
        begun, interrupted, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def look_up() -> str:
            """Look it up."""
            begun.set()
            await interrupted.wait()
            done.set()
            return "found"

        call = await dial({"hears": "look", "calls": {"look_up": {}}}, {"says": "Yes."}, tools=[look_up])
        await call.begins("look")
        await begun.wait()
        await call.interrupts()
        interrupted.set()
        await asyncio.wait_for(done.wait(), LIMIT)
        await self.three_more_turns(call)
        assert "found" in str(call.session.history)
