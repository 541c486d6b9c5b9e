"""What workers write while the shared store is down, in virtual time: the newest wins, wherever it was written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

import app.stores.shared as shared
from app.stores.shared import LISTEN_TIMEOUT, OUTAGE_PAUSE, REQUEST_TIMEOUT
from app.stores.tests.test_shared import FakeStore

pytestmark = pytest.mark.virtual_time
MINUTE = 60.0
MODES = ["refuses", "hangs"]


@pytest.fixture
async def workers() -> AsyncGenerator[tuple[FakeStore, FakeStore]]:
    """The stores of two workers, which share a server."""
    mine, other = FakeStore(), FakeStore()
    other.server = mine.server
    yield mine, other
    await mine.close()
    await other.close()


async def back(*stores: FakeStore) -> None:
    """The server is there again, and the workers have noticed it, without a request of a caller."""
    for store in stores:
        store.mode = "up"
    await asyncio.sleep(OUTAGE_PAUSE + REQUEST_TIMEOUT)
    assert not any(store.down for store in stores)


@pytest.mark.parametrize("mode", MODES)
async def test_a_value_of_the_outage_is_found_afterwards_by_every_worker(
    workers: tuple[FakeStore, FakeStore], mode: str
) -> None:
    mine, other = workers
    await mine.put("a", "old", MINUTE)
    mine.mode = mode
    await mine.put("a", "new", MINUTE)
    assert await mine.get("a") == "new"
    await back(mine)
    assert (await mine.get("a"), await other.get("a")) == ("new", "new")
    assert not mine.unsent


async def test_a_value_that_another_worker_wrote_later_wins(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, other = workers
    mine.mode = "refuses"
    await mine.put("a", "first", MINUTE)
    await other.put("a", "second", MINUTE)
    await back(mine)
    assert (await mine.get("a"), await other.get("a")) == ("second", "second")


async def test_two_workers_that_were_both_cut_off(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, other = workers
    mine.mode = other.mode = "refuses"
    for key, order in (("a", (mine, other)), ("b", (other, mine))):
        await order[0].put(key, "first", MINUTE)
        await order[1].put(key, "second", MINUTE)
    await back(mine, other)
    assert [await store.get(key) for store in workers for key in "ab"] == ["second"] * 4


async def test_the_last_of_several_writes_stays(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, other = workers
    mine.mode = "refuses"
    for value in ("1", "2", "3"):
        await mine.put("a", value, MINUTE)
    await back(mine)
    assert await other.get("a") == "3"
    await mine.put("a", "4", MINUTE)
    assert (await mine.get("a"), await other.get("a")) == ("4", "4")


async def test_a_write_whose_caller_stopped_waiting_is_not_lost(workers: tuple[FakeStore, FakeStore]) -> None:
    """Escalations wait half a second for the store."""
    mine, other = workers
    await mine.put("a", "old", MINUTE)
    mine.mode = "hangs"
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(REQUEST_TIMEOUT / 2):
            await mine.put("a", "new", MINUTE)
    began = asyncio.get_running_loop().time()
    assert await mine.get("a") == "new" and asyncio.get_running_loop().time() == began, "it waits for the store"
    mine.mode = "up"
    assert await mine.get("a") == "new"
    await asyncio.sleep(OUTAGE_PAUSE + 0.1)
    assert await other.get("a") == "new" and not mine.unsent


async def test_a_value_keeps_its_expiry(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, other = workers
    mine.mode = "refuses"
    await mine.put("long", "1", MINUTE)
    await mine.put("short", "1", 1)
    await back(mine)
    assert (await other.get("long"), await other.get("short")) == ("1", None)
    await asyncio.sleep(MINUTE - OUTAGE_PAUSE - REQUEST_TIMEOUT)
    assert (await mine.get("long"), await other.get("long")) == (None, None)


# --- claims, releases, queues -------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_a_claim_of_the_outage_holds_for_every_worker(workers: tuple[FakeStore, FakeStore], mode: str) -> None:
    mine, other = workers
    mine.mode = mode
    assert await mine.claim("token", MINUTE)
    await back(mine)
    assert (await other.claim("token", MINUTE), await mine.claim("token", MINUTE)) == (False, False)


@pytest.mark.parametrize("mode", MODES)
async def test_a_release_of_the_outage_holds_for_every_worker(workers: tuple[FakeStore, FakeStore], mode: str) -> None:
    mine, other = workers
    assert await mine.claim("lock", MINUTE)
    mine.mode = mode
    await mine.release("lock")
    assert await mine.claim("lock", MINUTE)
    await mine.release("lock")
    await back(mine)
    assert await other.claim("lock", MINUTE) and not await mine.claim("lock", MINUTE)


async def test_a_release_of_the_outage_leaves_a_later_claim(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, other = workers
    assert await mine.claim("lock", 1)
    mine.mode = "refuses"
    await mine.release("lock")
    await asyncio.sleep(2)
    assert await other.claim("lock", MINUTE)
    await back(mine)
    assert not await mine.claim("lock", MINUTE)


async def test_a_claim_from_before_holds_during_the_outage(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, _ = workers
    assert await mine.claim("token", MINUTE)
    mine.mode = "refuses"
    assert not await mine.claim("token", MINUTE)


@pytest.mark.parametrize("mode", MODES)
async def test_messages_of_the_outage_reach_every_worker_in_order(
    workers: tuple[FakeStore, FakeStore], mode: str
) -> None:
    mine, other = workers
    await mine.push("queue", "1", MINUTE)
    mine.mode = mode
    await mine.push("queue", "2", MINUTE)
    await mine.push("queue", "3", MINUTE)
    await back(mine)
    assert [await other.pop("queue", 0) for _ in range(4)] == ["1", "2", "3", None]
    assert await mine.pop("queue", 0) is None


async def test_a_push_whose_answer_was_lost_is_received_once(
    workers: tuple[FakeStore, FakeStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = workers
    push = mine._push

    async def arrives(key: str, text: str, seconds: float) -> None:
        await push(key, text, seconds)
        mine.mode = "refuses"
        raise TimeoutError

    monkeypatch.setattr(mine, "_push", arrives)
    await mine.push("queue", "1", MINUTE)
    monkeypatch.undo()
    await mine.push("queue", "2", MINUTE)
    assert await mine.pop("queue", 0) == "1"
    await back(mine)
    assert [await mine.pop("queue", 0) for _ in range(2)] == ["2", None]


# --- the outage itself --------------------------------------------------------------------------------------------


async def test_no_caller_waits_for_the_probe(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, _ = workers
    mine.mode = "hangs"
    await mine.get("a")
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(OUTAGE_PAUSE + REQUEST_TIMEOUT / 2)
    await mine.put("a", "1", MINUTE)
    assert await mine.get("a") == "1"
    assert asyncio.get_running_loop().time() == began + OUTAGE_PAUSE + REQUEST_TIMEOUT / 2


def failing(store: FakeStore, monkeypatch: pytest.MonkeyPatch, name: str, fails: Callable[[str], bool]) -> None:
    request = getattr(store, name)

    async def answer(key: str, *args: object) -> object:
        if fails(key):
            raise ConnectionError
        return await request(key, *args)

    monkeypatch.setattr(store, name, answer)


async def test_a_store_that_can_only_be_read_is_down(
    workers: tuple[FakeStore, FakeStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = workers
    failing(mine, monkeypatch, "_put", lambda key: True)
    await mine.put("a", "1", MINUTE)
    await asyncio.sleep(5 * OUTAGE_PAUSE)
    assert mine.down and await mine.get("a") == "1"
    monkeypatch.undo()
    await back(mine)
    assert await other.get("a") == "1"


@pytest.mark.parametrize("kind", ["put", "push"])
async def test_one_key_that_the_store_refuses_does_not_keep_it_down(
    workers: tuple[FakeStore, FakeStore], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mine, other = workers
    failing(mine, monkeypatch, f"_{kind}", lambda key: key == "bad")
    await getattr(mine, kind)("bad", "1", MINUTE)
    await getattr(mine, kind)("good", "2", MINUTE)
    await back(mine)
    read = "get" if kind == "put" else "pop"
    args = () if kind == "put" else (0,)
    assert await getattr(other, read)("good", *args) == "2"
    assert await getattr(mine, read)("bad", *args) == "1"


async def test_an_outage_in_the_middle_of_the_recovery_loses_nothing(
    workers: tuple[FakeStore, FakeStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = workers
    mine.mode = "refuses"
    for number in range(10):
        await mine.put(str(number), "value", 10 * MINUTE)
        await mine.push(f"queue {number % 2}", str(number), 10 * MINUTE)
    requests = 0

    def third(key: str) -> bool:
        nonlocal requests
        requests += 1
        return 7 < requests < 20

    failing(mine, monkeypatch, "_put", third)
    failing(mine, monkeypatch, "_push", third)
    mine.mode = "up"
    await asyncio.sleep(20 * OUTAGE_PAUSE)
    assert not mine.down and [await other.get(str(number)) for number in range(10)] == ["value"] * 10
    queued = [[await other.pop(f"queue {queue}", 0) for _ in range(6)] for queue in range(2)]
    assert queued == [[*map(str, range(queue, 10, 2)), None] for queue in range(2)]


async def test_what_is_written_during_the_recovery_is_the_newest(
    workers: tuple[FakeStore, FakeStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = workers
    mine.mode = "refuses"
    await mine.put("a", "1", MINUTE)
    put = mine._put

    async def slow(key: str, *args: object) -> None:
        await put(key, *args)  # type: ignore[arg-type]
        if key == "a" and await mine.get("a") == "1":
            await mine.put("a", "2", MINUTE)

    monkeypatch.setattr(mine, "_put", slow)
    await back(mine)
    await asyncio.sleep(OUTAGE_PAUSE)
    assert (await mine.get("a"), await other.get("a")) == ("2", "2")


async def test_a_worker_keeps_a_bounded_amount(
    workers: tuple[FakeStore, FakeStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = workers
    monkeypatch.setattr(shared, "MAX_KEPT", 10_000)
    monkeypatch.setattr(shared, "MAX_QUEUES", 10)
    mine.own._sweep_at = 3
    for mode in ("up", "refuses"):
        mine.mode = mode
        await mine.put("expired", "x", 0)
        for number in range(100):
            await mine.put(f"{mode} {number}", "x" * 1000, MINUTE)
            await mine.claim(f"claim {mode} {number}", MINUTE)
            await mine.release(f"lock {mode} {number}")
            await mine.push(f"queue {mode} {number}", "x", MINUTE)
        assert sum(len(text) for text, _ in mine.own.values.values()) < 10_000
        assert mine.kept == sum(len(text) + shared.OVERHEAD for text, _ in mine.own.values.values())
    assert set(mine.unsent) <= set(mine.own.values) and len(mine.own.queues) <= 10
    assert await mine.get("refuses 99") == "x" * 1000 and await mine.pop("queue refuses 99", 0) == "x"
    for number in range(100):
        await mine.release(f"lock refuses {number}")
    await mine.put("a", "x" * 20_000, MINUTE)
    assert mine.kept == 0 and not mine.own.values


async def test_a_worker_knows_during_the_outage_what_it_wrote_before(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, other = workers
    await mine.put("record", "queued", MINUTE)
    mine.mode = "refuses"
    assert await mine.get("record") == "queued"
    await mine.put("record", "accepted", MINUTE)
    await back(mine)
    assert await other.get("record") == "accepted"


async def test_a_pop_of_the_outage_hears_a_push_of_its_worker(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, _ = workers
    mine.mode = "refuses"
    waiting = asyncio.create_task(mine.pop("queue", 3 * LISTEN_TIMEOUT))
    await asyncio.sleep(1)
    await mine.push("queue", "1", MINUTE)
    assert await waiting == "1"


async def test_a_value_that_is_too_large_stays_with_its_worker(
    workers: tuple[FakeStore, FakeStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = workers
    put = mine._put

    async def limited(key: str, value: str, seconds: float) -> None:
        if len(value) > 100:
            raise shared.Down
        await put(key, value, seconds)

    monkeypatch.setattr(mine, "_put", limited)
    await mine.put("a", "small", MINUTE)
    await mine.put("a", "x" * 200, MINUTE)
    assert (await mine.get("a"), await other.get("a")) == ("x" * 200, "small")
    assert not mine.down and mine.recovering is None
    mine.mode = "refuses"
    await mine.put("b", "x" * 200, MINUTE)
    await mine.put("c", "small", MINUTE)
    await back(mine)
    assert (await mine.get("b"), await other.get("b"), await other.get("c")) == ("x" * 200, None, "small")
    await other.put("a", "newer", MINUTE)
    assert await mine.get("a") == "newer"


async def test_a_claim_of_another_worker_is_not_kept(workers: tuple[FakeStore, FakeStore]) -> None:
    mine, other = workers
    assert await other.claim("lock", MINUTE) and not await mine.claim("lock", MINUTE)
    await other.release("lock")
    assert await mine.claim("lock", MINUTE) and not await other.claim("lock", MINUTE)
