"""What memory does for phone calls: before the caller speaks, when a line drops, on another worker."""

from __future__ import annotations

import asyncio

import pytest
from pydantic_ai.messages import ModelRequest

from app.main import create_app
from app.memory import Memory
from app.session import Line
from app.store import InProcess
from sim import world
from sim.call import Call, caller_on
from sim.features import Cloud
from sim.model import scripted
from sim.server import serve
from tests.test_memory import ADA, BOB, Notebook, notebook
from tests.voice import Dial

__all__ = ["notebook"]  # a fixture


def told(call: Call) -> str:
    """What the model was told before the last answer."""
    return next(str(each.instructions) for each in call.session.turn.exchanged if isinstance(each, ModelRequest))


def memory_of(call: Call) -> Memory:
    return next(each for each in call.app.state.conversations.capabilities if isinstance(each, Memory))


async def looked_up(call: Call) -> None:
    async with asyncio.timeout(2):
        await asyncio.wait([memory_of(call)._look_ups[call.sid].task])


async def test_the_look_up_begins_before_the_caller_speaks(notebook: Notebook, dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    await looked_up(call)
    assert notebook.asked == ["identify"] and memory_of(call).counts["empty"] == 1


async def test_two_callers_at_once_are_not_mixed_up(notebook: Notebook) -> None:
    notebook.notes |= {ADA: ["Prefers oolong."], BOB: ["Prefers arabica."]}
    app = create_app(world.settings(), [scripted({"says": "Yes."})], [], transport=Cloud().transport)
    async with serve(app) as address, caller_on(app, address) as ada, caller_on(app, address, caller=BOB) as bob:
        await asyncio.gather(ada.says("Hello"), bob.says("Hello"))
        assert "oolong" in told(ada) and "arabica" not in told(ada)
        assert "arabica" in told(bob) and "oolong" not in told(bob)


NOBODY = ["", "anonymous", "Anonymous", "+266696687", "+7378742833", "sip:ada@example.com", "client:ada", "911", "+1"]


@pytest.mark.parametrize("caller", NOBODY)
async def test_somebody_who_withholds_the_number_has_no_memory(notebook: Notebook, caller: str) -> None:
    notebook.notes[caller] = ["Prefers tea."]
    app = create_app(world.settings(), [scripted({"says": "Yes."})], [], transport=Cloud().transport)
    async with serve(app) as address, caller_on(app, address, caller=caller) as call:
        await call.says("Hello")
        assert "<memory>" not in told(call)
        assert memory_of(call).tools(call.session) == ()
        await call.hangs_up()
    assert notebook.asked == []


async def test_a_summary_can_be_kept_by_whoever_has_one(notebook: Notebook, dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    assert await call.session.offers["summarize"]("Asked about tea.")
    assert notebook.summaries == {ADA: ["Asked about tea."]}
    notebook.error = ConnectionError()
    assert not await call.session.offers["summarize"]("Asked about coffee.")


async def test_a_call_that_comes_back_on_another_worker_is_known_there(notebook: Notebook, dial: Dial) -> None:
    notebook.notes[ADA] = ["Prefers tea."]
    store = InProcess()
    call = await dial({"says": "Yes."}, store=store)
    await call.session.line.websocket.close()
    async with asyncio.timeout(2):
        while call.session.line.open:
            await asyncio.sleep(0.005)
    other = create_app(world.settings(), [scripted({"says": "Yes."})], [], store=store, transport=Cloud().transport)
    async with other.router.lifespan_context(other):
        session = await other.state.conversations.start(call.sid, caller="", called="", line=Line())
        memory, *_ = other.state.conversations.capabilities
        assert "Prefers tea." in str(await memory.context(session, "Hello"))
        assert "summarize" in session.offers


async def test_a_call_that_comes_back_is_not_looked_up_twice(notebook: Notebook, dial: Dial) -> None:
    call = await dial({"says": "Yes."})
    await looked_up(call)
    await call.drops()
    await call.says("Hello")
    assert memory_of(call).counts["asked"] == 1


async def test_a_look_up_that_failed_is_repeated_when_the_call_comes_back(notebook: Notebook, dial: Dial) -> None:
    notebook.notes[ADA], notebook.error = ["Prefers tea."], ConnectionError()
    call = await dial({"says": "Yes."})
    await looked_up(call)
    notebook.error = None
    await call.drops()
    await call.says("Hello")
    assert "Prefers tea." in told(call)


async def test_nothing_is_asked_before_the_server_starts_or_after_it_stops(notebook: Notebook) -> None:
    app = create_app(world.settings(), [scripted({"says": "Yes."})], [], transport=Cloud().transport)
    await app.state.conversations.start("CA1", caller=ADA, called=BOB, line=Line())
    async with app.router.lifespan_context(app):
        pass
    await app.state.conversations.start("CA2", caller=ADA, called=BOB, line=Line())
    await app.state.conversations.end("CA2")
    await asyncio.sleep(0.01)
    assert notebook.asked == ["ended"]  # CA1, when the server stops
