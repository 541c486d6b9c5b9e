"""Memory in calls: before the caller speaks, after a disconnect, on another worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

import pytest
from pydantic_ai.messages import ModelMessage, ModelRequest
from pydantic_ai.models.function import AgentInfo, FunctionModel

from app.connection import Connection
from app.memory import Memory
from app.memory.tests.test_memory import ADA, BOB, DictBackend, backend
from app.store import InProcess
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, caller_on, calls_of
from kit.conventions import build_model
from kit.local_server import serve
from kit.simulated_twilio.account import SimulatedAccount
from kit.voice_fixtures import Dial

__all__ = ["backend"]  # a fixture


def instructions_of(call: Call) -> str:
    """The model's instructions of the last turn."""
    return next(str(each.instructions) for each in call.session.turn.messages if isinstance(each, ModelRequest))


def memory_of(call: Call) -> Memory:
    return next(each for each in call.app.state.conversations.capabilities if isinstance(each, Memory))


async def lookup_done(call: Call) -> None:
    async with asyncio.timeout(10):
        await asyncio.wait([memory_of(call).lookups[call.sid].task])


@pytest.fixture
def start(dial: Dial, backend: DictBackend) -> Dial:
    """Call an agent whose only capability is memory."""
    return partial(dial, capabilities=[backend.capability()])


async def test_the_lookup_begins_before_the_caller_speaks(backend: DictBackend, start: Dial) -> None:
    call = await start({"says": "Yes."})
    await lookup_done(call)
    assert backend.requests == ["find_profile"] and memory_of(call).counts["empty"] == 1


async def test_two_callers_at_once_are_not_mixed_up(backend: DictBackend) -> None:
    backend.observations |= {ADA: ["Prefers oolong."], BOB: ["Prefers arabica."]}
    app = build_app(capabilities=[backend.capability()])
    async with serve(app) as address, caller_on(app, address) as ada, caller_on(app, address, caller=BOB) as bob:
        await asyncio.gather(ada.says("Hello"), bob.says("Hello"))
        assert "oolong" in instructions_of(ada) and "arabica" not in instructions_of(ada)
        assert "arabica" in instructions_of(bob) and "oolong" not in instructions_of(bob)


WITHHELD = ["", "anonymous", "Anonymous", "+266696687", "+7378742833", "sip:ada@example.com", "client:ada", "911", "+1"]


@pytest.mark.parametrize("caller", WITHHELD)
async def test_a_caller_who_withholds_the_number_has_no_memory(backend: DictBackend, caller: str) -> None:
    backend.observations[caller] = ["Prefers tea."]
    app = build_app(capabilities=[backend.capability()])
    async with serve(app) as address, caller_on(app, address, caller=caller) as call:
        await call.says("Hello")
        assert "<memory>" not in instructions_of(call)
        assert memory_of(call).tools(call.session) == ()
        await call.hangs_up()
    assert backend.requests == []


async def test_a_summary_is_saved_by_an_action(backend: DictBackend, start: Dial) -> None:
    call = await start({"says": "Yes."})
    assert await call.session.actions["save_summary"]("Asked about tea.")
    assert backend.summaries == {ADA: ["Asked about tea."]}
    backend.error = ConnectionError()
    assert not await call.session.actions["save_summary"]("Asked about coffee.")


async def test_a_call_that_resumes_on_another_worker_is_looked_up_there(backend: DictBackend, start: Dial) -> None:
    backend.observations[ADA] = ["Prefers tea."]
    store = InProcess()
    call = await start({"says": "Yes."}, store=store)
    await call.session.connection.websocket.close()
    await wait_until(lambda: not call.session.connection.open, "the disconnect was not noticed")
    other = build_app(store=store, capabilities=[backend.capability()])
    async with other.router.lifespan_context(other):
        session = await calls_of(other).start(call.sid, caller="", called="", connection=Connection())
        memory, *_ = other.state.conversations.capabilities
        assert "Prefers tea." in str(await memory.context(session, "Hello"))
        assert "save_summary" in session.actions


async def test_a_resumed_call_has_one_lookup(backend: DictBackend, start: Dial) -> None:
    call = await start({"says": "Yes."})
    await lookup_done(call)
    await call.drops()
    await call.says("Hello")
    assert memory_of(call).counts["started"] == 1


async def test_a_failed_lookup_is_repeated_when_the_call_resumes(backend: DictBackend, start: Dial) -> None:
    backend.observations[ADA], backend.error = ["Prefers tea."], ConnectionError()
    call = await start({"says": "Yes."})
    await lookup_done(call)
    backend.error = None
    await call.drops()
    await call.says("Hello")
    assert "Prefers tea." in instructions_of(call)


async def test_no_request_is_sent_before_the_server_starts_or_after_it_stops(backend: DictBackend) -> None:
    app = build_app(capabilities=[backend.capability()])
    await calls_of(app).start("CA1", caller=ADA, called=BOB, connection=Connection())
    async with app.router.lifespan_context(app):
        pass
    await calls_of(app).start("CA2", caller=ADA, called=BOB, connection=Connection())
    await calls_of(app).end("CA2")
    await asyncio.sleep(0)  # a task that this has started would send its request now
    assert backend.requests == ["on_end"]  # CA1, when the server stops


async def test_a_caller_is_recognised_by_messages(backend: DictBackend) -> None:
    pytest.importorskip("app.messaging")
    from kit.texter import Texter

    backend.observations[ADA] = ["Likes tea."]
    account, instructions = SimulatedAccount(), list[str]()

    async def stream(messages: list[ModelMessage], info: AgentInfo) -> AsyncGenerator[str]:
        instructions.append(info.instructions or "")
        yield "Yes."

    model = build_model(FunctionModel(stream_function=stream))
    app = build_app(models=[model], account=account, capabilities=[backend.capability()])
    async with serve(app) as address:
        async with caller_on(app, address, account=account) as call:
            await call.says("Hello")
        customer = Texter(app, address, account, ADA, "SMS")
        await customer.texts("Hello again")
        await customer.wait_for_app()
        await customer.aclose()
    assert ["Likes tea." in each for each in instructions] == [True, True]
