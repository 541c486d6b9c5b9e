"""What a store is good for: a call goes on where it was, on whatever worker."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fastapi import FastAPI

from app.capability import Capability
from app.connection import Connection
from app.main import create_app
from app.session import Session
from app.store import InProcess, Store
from app.voice.calls import CallRefused, Calls
from kit import defaults
from kit.caller import Call
from kit.local_server import serve
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.voice_fixtures import Dial


def worker(store: Store) -> FastAPI:
    """Another process, as far as the calls can tell."""
    return create_app(
        defaults.settings(), [scripted({"says": "Yes."})], [], store=store, transport=SimulatedAccount().transport
    )


async def begin(calls: Calls, line: Connection | None = None) -> Session:
    return await calls.start("CA1", caller=defaults.CALLER, called=defaults.CALLED, connection=line or Connection())


async def turn(calls: Calls, session: Session, text: str) -> None:
    async for _ in calls.reply(session, text):
        pass


async def settled(calls: Calls) -> None:
    await asyncio.gather(*calls._saving)


def texts(session: Session) -> list[str]:
    return [str(part.content) for message in session.history for part in message.parts if hasattr(part, "content")]


def moves(call: Call, app: FastAPI, address: str) -> None:
    """From now on the load balancer sends what belongs to this call elsewhere."""
    call.app, call.address, call._http.base_url = app, address, f"http://{address}"


ended: list[list[str]] = []


class Noting(Capability):
    """Notes what had been said in the calls that ended."""

    async def on_end(self, session: Session) -> None:
        ended.append(texts(session))


@pytest.fixture(autouse=True)
def noting(monkeypatch: pytest.MonkeyPatch) -> None:
    ended.clear()
    monkeypatch.setattr("app.main.CAPABILITIES", [Noting])


class EveryWorker:
    """The tests that every store has to pass. `elsewhere` is what another worker has."""

    grace = 0.1  # seconds that a call may take to come back; more than the store takes to answer

    @pytest.fixture
    def store(self) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def elsewhere(self, store: Store) -> Any:
        return store

    async def test_a_call_that_drops_goes_on_on_another_worker(
        self, dial: Dial, store: Store, elsewhere: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.voice.calls.RECONNECT_GRACE", self.grace)
        call = await dial({"hears": "", "says": "You said something."}, store=store)
        await call.says("I am Ada")
        first, other = call.app.state.conversations, worker(elsewhere)
        async with serve(other) as address:
            moves(call, other, address)
            await call.drops()
            await asyncio.sleep(2 * self.grace)
            assert first.get(call.sid) is None and ended == []
            assert (await call.says("And I like tea")).text == "Yes."
            assert call.session.caller == defaults.CALLER
            await call.hangs_up()
        assert ended == [["I am Ada", "You said something.", "And I like tea", "Yes."]]

    async def test_a_call_that_is_over_is_over_on_every_worker(
        self, dial: Dial, store: Store, elsewhere: Store
    ) -> None:
        call = await dial({"says": "Yes."}, store=store)
        await call.hangs_up()
        with pytest.raises(CallRefused, match="is over"):
            await (
                worker(elsewhere)
                .state.conversations.channel("voice")
                .calls.start(call.sid, caller="", called="", connection=Connection())
            )

    async def test_the_last_reply_is_known_elsewhere_although_nobody_noticed_that_the_line_dropped(
        self, store: Store, elsewhere: Store
    ) -> None:
        first, second = worker(store).state.conversations, worker(elsewhere).state.conversations
        await turn(first, await begin(first), "I am Ada")
        await settled(first)
        assert texts(await begin(second)) == ["I am Ada", "Yes."]

    async def test_a_worker_that_notices_late_leaves_the_call_to_who_has_it(
        self, store: Store, elsewhere: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.voice.calls.RECONNECT_GRACE", 0.05)
        first, second = worker(store).state.conversations, worker(elsewhere).state.conversations
        stale = await begin(first)
        await turn(second, await begin(second), "I am Ada")
        await settled(second)
        first.dropped(stale)
        async with asyncio.timeout(5):
            while first.get("CA1"):
                await asyncio.sleep(0.01)
        assert (first.get("CA1"), ended) == (None, [])
        assert texts(await begin(worker(store).state.conversations)) == ["I am Ada", "Yes."]

    async def test_a_call_comes_back_to_a_worker_that_has_not_noticed(self, store: Store, elsewhere: Store) -> None:
        first, second = worker(store).state.conversations, worker(elsewhere).state.conversations
        await begin(first)
        with pytest.raises(CallRefused, match="is being served"):
            await begin(first)
        session = await second.find("CA1")
        assert session
        await second.lost(session)  # Twilio has asked the other worker what to do
        assert (await begin(first)).connection.open

    async def test_a_call_comes_back_with_what_was_said_elsewhere(self, store: Store, elsewhere: Store) -> None:
        first, second = worker(store).state.conversations, worker(elsewhere).state.conversations
        await begin(first)
        await turn(second, await begin(second), "I am Ada")
        await settled(second)
        assert texts(await begin(first)) == ["I am Ada", "Yes."]

    async def test_whoever_ends_a_call_knows_what_was_said_elsewhere(self, store: Store, elsewhere: Store) -> None:
        first, second = worker(store).state.conversations, worker(elsewhere).state.conversations
        first.dropped(await begin(first))
        await turn(second, await begin(second), "I am Ada")
        await settled(second)
        await first.end("CA1")
        await second.end("CA1")
        assert ended == [["I am Ada", "Yes."]]

    async def test_a_call_that_is_over_stays_over_when_its_worker_notices_late(
        self, store: Store, elsewhere: Store
    ) -> None:
        first, second = worker(store).state.conversations, worker(elsewhere).state.conversations
        session = await begin(first)
        await second.end("CA1")
        first.dropped(session)
        await settled(first)
        with pytest.raises(CallRefused, match="is over"):
            await begin(second)
        await first.end_all()

    async def test_a_server_that_stops_does_not_end_calls_that_others_have_taken(
        self, store: Store, elsewhere: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.voice.calls.RECONNECT_GRACE", 10.0)
        first, second = worker(store).state.conversations, worker(elsewhere).state.conversations
        first.dropped(await begin(first))
        session = await begin(second)
        await first.end_all()
        assert ended == []
        await turn(second, session, "Are you there?")
        await second.end("CA1")
        assert ended == [["Are you there?", "Yes."]]

    async def test_a_call_that_the_store_has_lost_still_ends(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.voice.calls.RECONNECT_GRACE", 0.05)
        calls = worker(store).state.conversations
        session = await begin(calls)
        await turn(calls, session, "I am Ada")
        calls.dropped(session)
        await settled(calls)
        await store.put("session:CA1", "", 0)
        async with asyncio.timeout(5):
            while not ended:
                await asyncio.sleep(0.01)
        assert ended == [["I am Ada", "Yes."]]


class TestInProcess(EveryWorker):
    @pytest.fixture
    def store(self) -> InProcess:
        return InProcess()

    async def test_a_server_that_stops_ends_its_calls_at_once(self, store: InProcess) -> None:
        calls = worker(store).state.conversations
        calls.dropped(await begin(calls))
        await asyncio.wait_for(calls.end_all(), 1)
        assert ended == [[]]

    async def test_a_call_is_over_although_it_was_just_being_kept(self) -> None:
        class Slow(InProcess):
            async def put(self, key: str, value: str, seconds: float) -> None:
                if "history" in value:
                    await asyncio.sleep(0.05)
                await super().put(key, value, seconds)

        calls = worker(Slow()).state.conversations
        await turn(calls, await begin(calls), "Bye")
        await asyncio.sleep(0.01)
        await calls.end("CA1")
        await asyncio.sleep(0.1)
        with pytest.raises(CallRefused, match="is over"):
            await begin(calls)


class Stumbling(InProcess):
    """A store whose next write of a call takes long."""

    stumbles = False

    async def put(self, key: str, value: str, seconds: float) -> None:
        if key.startswith("session:") and self.stumbles:
            self.stumbles = False
            await asyncio.sleep(0.1)
        await super().put(key, value, seconds)


async def test_what_was_kept_last_is_the_latest() -> None:
    store = Stumbling()
    calls = worker(store).state.conversations
    session = await begin(calls)
    store.stumbles = True
    await turn(calls, session, "I am Ada")
    await settled(calls)
    assert texts(await begin(worker(store).state.conversations)) == ["I am Ada", "Yes."]
