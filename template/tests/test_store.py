"""What every store does, and what it is good for: a call goes on where it was, on whatever worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from app.calls import Refused
from app.main import create_app
from app.session import Line
from app.store import InProcess, Store
from sim import world
from sim.features import Cloud
from sim.model import scripted
from tests.conftest import Dial


@pytest.fixture
def store() -> Store:
    return InProcess()


async def test_a_value_is_there_until_it_expires(store: Store) -> None:
    await store.put("a", "1", 60)
    await store.put("b", "2", 0.05)
    assert (await store.get("a"), await store.get("b"), await store.get("c")) == ("1", "2", None)
    await asyncio.sleep(0.1)
    assert (await store.get("a"), await store.get("b")) == ("1", None)


async def test_the_last_value_counts(store: Store) -> None:
    await store.put("a", "1", 60)
    await store.put("a", "2", 60)
    assert await store.get("a") == "2"


async def test_a_token_is_claimed_once(store: Store) -> None:
    claims = await asyncio.gather(*(store.claim("token", 60) for _ in range(5)))
    assert sorted(claims) == [False] * 4 + [True]
    assert await store.claim("another", 60)


async def test_an_expired_token_can_be_claimed_again(store: Store) -> None:
    assert await store.claim("token", 0.05)
    await asyncio.sleep(0.1)
    assert await store.claim("token", 60)


async def test_a_queue_keeps_the_order(store: Store) -> None:
    for value in ("1", "2", "3"):
        await store.push("queue", value, 60)
    assert [await store.pop("queue", 1) for _ in range(3)] == ["1", "2", "3"]


async def test_a_queue_wakes_who_waits(store: Store) -> None:
    waiting = asyncio.create_task(store.pop("queue", 5))
    await asyncio.sleep(0.01)
    await store.push("queue", "1", 60)
    assert await asyncio.wait_for(waiting, 1) == "1"


async def test_an_empty_queue_gives_nothing(store: Store) -> None:
    assert await store.pop("queue", 0.05) is None
    await store.push("queue", "1", 60)
    assert await store.pop("another", 0.05) is None


def test_a_process_does_not_keep_what_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.store.SWEEP", 10)
    store = InProcess()

    async def fill() -> None:
        for number in range(100):
            await store.put(str(number), "x", 0)

    asyncio.run(fill())
    assert len(store._values) <= 11


async def test_a_call_that_drops_goes_on_on_another_worker(dial: Dial, store: Store) -> None:
    call = await dial({"hears": "", "says": "You said something."}, store=store)
    await call.says("I am Ada")
    await call.says("I like tea")
    await call.session.line.websocket.close()
    async with asyncio.timeout(2):
        while call.session.line.open:
            await asyncio.sleep(0.005)
    other = create_app(world.settings(), [scripted({"says": "Yes."})], [], store=store, transport=Cloud().transport)
    session = await other.state.calls.start(call.sid, caller="", called="", line=Line())
    assert session is not call.session and session.caller == world.CALLER
    parts = [part.content for message in session.history for part in message.parts if hasattr(part, "content")]
    assert parts == ["I am Ada", "You said something.", "I like tea", "You said something."]


async def test_a_call_that_is_over_is_over_on_every_worker(dial: Dial, store: Store) -> None:
    call = await dial({"says": "Yes."}, store=store)
    await call.hangs_up()
    other = create_app(world.settings(), [scripted({"says": "Yes."})], [], store=store, transport=Cloud().transport)
    with pytest.raises(Refused, match="is over"):
        await other.state.calls.start(call.sid, caller="", called="", line=Line())


async def test_a_worker_does_not_end_the_call_that_another_has_taken(
    dial: Dial, store: Store, monkeypatch: pytest.MonkeyPatch, logged: Callable[[], str]
) -> None:
    monkeypatch.setattr("app.calls.GRACE", 0.1)
    call = await dial({"says": "Yes."}, store=store)
    await call.session.line.websocket.close()
    other = create_app(world.settings(), [scripted({"says": "Yes."})], [], store=store, transport=Cloud().transport)
    async with asyncio.timeout(2):
        while call.session.line.open:
            await asyncio.sleep(0.005)
    session = await other.state.calls.start(call.sid, caller="", called="", line=Line())
    await asyncio.sleep(0.3)
    assert other.state.calls.get(call.sid) is session and "call.ended" not in logged()
    assert call.app.state.calls.get(call.sid) is None
