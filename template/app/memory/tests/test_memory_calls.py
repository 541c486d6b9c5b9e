"""What memory does for phone calls: before the caller speaks, when a line drops, on another worker."""

from __future__ import annotations

import asyncio

import pytest
from pydantic_ai.messages import ModelRequest

from app.connection import Connection
from app.main import create_app
from app.memory import Memory
from app.memory.tests.test_memory import ADA, BOB, Notebook, notebook
from app.store import InProcess
from kit import defaults
from kit.caller import Call, caller_on, calls_of
from kit.local_server import serve
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.voice_fixtures import Dial

__all__ = ["notebook"]  # a fixture


def told(call: Call) -> str:
    """What the model was told before the last answer."""
    return next(str(each.instructions) for each in call.session.turn.messages if isinstance(each, ModelRequest))


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
    app = create_app(defaults.settings(), [scripted({"says": "Yes."})], [], transport=SimulatedAccount().transport)
    async with serve(app) as address, caller_on(app, address) as ada, caller_on(app, address, caller=BOB) as bob:
        await asyncio.gather(ada.says("Hello"), bob.says("Hello"))
        assert "oolong" in told(ada) and "arabica" not in told(ada)
        assert "arabica" in told(bob) and "oolong" not in told(bob)


NOBODY = ["", "anonymous", "Anonymous", "+266696687", "+7378742833", "sip:ada@example.com", "client:ada", "911", "+1"]


@pytest.mark.parametrize("caller", NOBODY)
async def test_somebody_who_withholds_the_number_has_no_memory(notebook: Notebook, caller: str) -> None:
    notebook.notes[caller] = ["Prefers tea."]
    app = create_app(defaults.settings(), [scripted({"says": "Yes."})], [], transport=SimulatedAccount().transport)
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
    await call.session.connection.websocket.close()
    async with asyncio.timeout(2):
        while call.session.connection.open:
            await asyncio.sleep(0.005)
    other = create_app(
        defaults.settings(), [scripted({"says": "Yes."})], [], store=store, transport=SimulatedAccount().transport
    )
    async with other.router.lifespan_context(other):
        session = await calls_of(other).start(call.sid, caller="", called="", connection=Connection())
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
    app = create_app(defaults.settings(), [scripted({"says": "Yes."})], [], transport=SimulatedAccount().transport)
    await calls_of(app).start("CA1", caller=ADA, called=BOB, connection=Connection())
    async with app.router.lifespan_context(app):
        pass
    await calls_of(app).start("CA2", caller=ADA, called=BOB, connection=Connection())
    await calls_of(app).end("CA2")
    await asyncio.sleep(0.01)
    assert notebook.asked == ["ended"]  # CA1, when the server stops
