"""The life of a call: its routes, reconnects, handoffs and saves, its end, and a server that stops."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from pydantic_ai import messages as m
from twilio.twiml.voice_response import VoiceResponse

from app import config
from app.capability import Capability, Timeouts
from app.connection import Connection
from app.session import Session
from app.store import InProcess, Store
from app.tests.test_server import health, serving, stopping
from app.voice.calls import CallRefused, Calls
from app.voice.phrases import phrases
from app.voice.tests.test_conversation import contents
from app.voice.tests.test_security import PROMPT, setup
from kit import defaults, twiml
from kit.activity import wait_until
from kit.agent_app import build_app
from kit.caller import Call, caller_on, calls_of
from kit.plugin import Web
from kit.twiml import Document, Relay
from kit.voice_fixtures import Dial, websocket


async def opened(web: Web) -> Relay:
    """The `<ConversationRelay>` of a new call."""
    answer = await web.post("/twiml", {"CallSid": "CA1", "AccountSid": defaults.ACCOUNT_SID})
    relay = twiml.read(answer.text).relay
    assert relay
    return relay


STORY_RULES: list[dict[str, Any]] = [
    {"hears": "story", "says": "Once upon a time there was a very long story.", "word_delay": 0.005},
    {"hears": "", "says": "Yes."},
]
UP = {"CallStatus": "in-progress"}
ENDED = {**UP, "SessionStatus": "ended"}
FAILED = {**UP, "SessionStatus": "failed", "ErrorCode": "64105"}
CALL_SID = "CA" + "1" * 32


@pytest.fixture
async def app(request: pytest.FixtureRequest) -> FastAPI:
    """An app with a call in progress and the capabilities that a test names, else those of the project."""
    app = build_app(capabilities=getattr(request, "param", None))
    await begin(calls_of(app), CALL_SID)
    return app


@pytest.fixture
async def in_call(app: FastAPI) -> AsyncGenerator[Web]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        yield Web(http)


async def action(web: Web, form: Mapping[str, str], **more: str) -> Document:
    """The TwiML of the action URL after the session has ended like this."""
    return twiml.read((await web.post("/connect-action", {"CallSid": CALL_SID, **form, **more})).text)


ENDINGS: dict[str, tuple[Mapping[str, str], str, list[str]]] = {  # the form, the text of <Say>, the verbs
    "the caller hung up": ({"CallStatus": "completed", "SessionStatus": "completed"}, "", []),
    "the agent ended the call": (ENDED, phrases.GOODBYE, ["Say", "Hangup"]),
    **{
        f"handoff {data}": ({**ENDED, "HandoffData": data}, phrases.GOODBYE, ["Say", "Hangup"])
        for data in ('{"reasonCode": "done"}', "{}", "{not json", "", "null", "[1]", '"text"')
    },
}


@pytest.mark.parametrize(("form", "text", "verbs"), ENDINGS.values(), ids=ENDINGS.keys())
async def test_a_call_that_has_ended_is_forgotten(
    app: FastAPI, in_call: Web, form: Mapping[str, str], text: str, verbs: list[str]
) -> None:
    assert calls_of(app).get(CALL_SID)
    document = await action(in_call, form)
    assert (document.said, document.verbs) == (text, verbs)
    assert calls_of(app).get(CALL_SID) is None


async def test_a_failed_session_is_opened_again_once(in_call: Web) -> None:
    document = await action(in_call, FAILED)
    assert document.verbs == ["Connect"]
    assert document.relay and document.relay.greeting == phrases.RECONNECTED
    document = await action(in_call, FAILED)
    assert (document.said, document.verbs) == (phrases.UNAVAILABLE, ["Say", "Hangup"])


@pytest.mark.parametrize(
    "form",
    [
        *({**UP, "CallSid": "CA" + "f" * 32, "SessionStatus": status} for status in ("completed", "ended", "failed")),
        {**UP, "CallSid": "CA" + "f" * 32, "SessionStatus": "new-in-2027"},
        *({"CallSid": ""}, {"SessionStatus": "failed"}, {"HandoffData": "{}"}, UP),
    ],
)
async def test_unknown_calls_and_missing_fields_are_answered(in_call: Web, form: dict[str, str]) -> None:
    answer = await in_call.post("/connect-action", form)
    assert twiml.read(answer.text).verbs == ["Say", "Hangup"]


# --- reconnects ------------------------------------------------------------------------------------------


async def test_the_history_survives_a_reconnect(call: Call) -> None:
    await call.says("My name is Ada")
    await call.drops()
    await call.says("Who am I?")
    assert contents(call.session, m.UserPromptPart) == ["My name is Ada"]


async def test_a_disconnect_in_the_middle_of_a_reply_leaves_a_valid_history(dial: Dial) -> None:
    call = await dial(*STORY_RULES)
    await call.begins("Tell me a story")
    await call.hears("Once")
    await call.drops()
    assert (await call.says("Go on")).text == "Yes."
    assert contents(call.session, m.UserPromptPart) == ["Tell me a story"]


async def test_an_interruption_of_the_second_greeting_does_not_shorten_the_last_reply(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", True)
    await call.says("Hello")
    await call.drops()
    call.playback.rate = 0.0001
    call.playback.spoken = len(phrases.RECONNECTED) // 2
    await call.interrupts()
    await call.says("Go on")
    answer = call.session.history[-1]
    assert [part.content for part in answer.parts] == ["You said something."]
    assert call.session.greeting == phrases.GREETING


async def test_a_call_is_resumed_before_the_server_notices_the_disconnect(dial: Dial) -> None:
    call = await dial(capabilities=[])
    old = await websocket(call.address)
    await old.send(setup(CALL_SID))
    await wait_until(lambda: calls_of(call.app).get(CALL_SID), "the call did not begin")
    session = calls_of(call.app).get(CALL_SID)
    connection = session.connection
    await call.post("/connect-action", {**call.form(**FAILED), "CallSid": CALL_SID})
    new = await websocket(call.address)
    await new.send(setup(CALL_SID))
    await wait_until(lambda: session.connection is not connection, "the call was not resumed")
    await old.close()
    await new.send(PROMPT)
    assert "Yes" in str(await asyncio.wait_for(new.recv(), 10))
    await new.close()


async def test_a_call_that_is_not_resumed_ends(dial: Dial) -> None:
    call = await dial(capabilities=[], timeouts=Timeouts(reconnect=0.02))
    socket = await websocket(call.address)
    await socket.send(setup(CALL_SID))
    await wait_until(lambda: calls_of(call.app).get(CALL_SID), "the call did not begin")
    await socket.close()
    await wait_until(lambda: calls_of(call.app).get(CALL_SID) is None, "the call did not end")


# --- handoffs ----------------------------------------------------------------------------------------------


class Desk(Capability):
    """Transfers a caller who wants a person."""

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        if handoff["wants"] != "a person":
            return None
        response = VoiceResponse()
        response.redirect(f"{defaults.PUBLIC_URL}/desk/{session.id}")
        return str(response)


@pytest.mark.parametrize("app", [[Capability, Desk, Capability]], indirect=True, ids=["desk"])
@pytest.mark.parametrize(
    ("data", "verbs"),
    [('{"wants": "a person"}', ["Redirect"])]
    + [(data, ["Say", "Hangup"]) for data in ('{"wants": "nothing"}', "{}", "[]", "7")],
)
async def test_the_first_capability_that_takes_a_handoff_decides(in_call: Web, data: str, verbs: list[str]) -> None:
    document = await action(in_call, ENDED, HandoffData=data)
    assert (document.verbs, document.said) == (verbs, phrases.GOODBYE if verbs != ["Redirect"] else "")


# --- saves, and a server that stops ----------------------------------------------------------------------------------

ended: list[list[str]] = []


class EndRecorder(Capability):
    """Records the texts of the calls that ended."""

    async def on_end(self, session: Session) -> None:
        ended.append(contents(session))


@pytest.fixture(autouse=True)
def nothing_ended() -> None:
    ended.clear()


def options(store: Store, reconnect: float = 60.0) -> dict[str, Any]:
    """A worker on `store`. A call expires only when a test says so."""
    return {"store": store, "capabilities": [EndRecorder], "timeouts": Timeouts(reconnect=reconnect)}


def worker(store: Store) -> FastAPI:
    return build_app(**options(store))


async def begin(calls: Calls, call_sid: str = "CA1") -> Session:
    return await calls.start(call_sid, caller=defaults.CALLER, called=defaults.CALLED, connection=Connection())


async def turn(calls: Calls, session: Session, text: str) -> None:
    async for _ in calls.reply(session, text):
        pass


async def saved(calls: Calls) -> None:
    """Wait until the saves in the background are done."""
    await asyncio.gather(*calls._saving)


class Shared(InProcess):
    """One store for the workers of a test."""

    shared = True


async def test_without_other_workers_a_server_that_stops_ends_its_calls_at_once() -> None:
    calls = calls_of(worker(InProcess()))
    calls.on_disconnect(await begin(calls))
    await asyncio.wait_for(calls.end_all(), 5)
    assert ended == [[]]


class Counting(InProcess):
    writes = 0

    async def put(self, key: str, value: str, seconds: float) -> None:
        self.writes += key.startswith("session:")
        await super().put(key, value, seconds)


@pytest.mark.parametrize("shared", [False, True])
async def test_a_turn_is_written_only_to_a_store_that_other_workers_read(shared: bool) -> None:
    store = Counting()
    store.shared = shared
    calls = calls_of(worker(store))
    session = await begin(calls)
    before = store.writes
    await turn(calls, session, "I am Ada")
    await saved(calls)
    assert store.writes - before == (2 if shared else 0)


def hold_next_save(store: Store, monkeypatch: pytest.MonkeyPatch) -> tuple[asyncio.Event, asyncio.Event]:
    """Make the next write of a session wait. The first event is set when it starts; the test sets the second."""
    started, finish, put = asyncio.Event(), asyncio.Event(), store.put

    async def held(key: str, value: str, seconds: float) -> None:
        if key.startswith("session:") and not started.is_set():
            started.set()
            await finish.wait()
        await put(key, value, seconds)

    monkeypatch.setattr(store, "put", held)
    return started, finish


async def test_a_save_in_progress_does_not_overwrite_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(worker(store := Shared()))
    session = await begin(calls)
    started, finish = hold_next_save(store, monkeypatch)
    await turn(calls, session, "Bye")
    await started.wait()
    ending = asyncio.create_task(calls.end("CA1"))
    await asyncio.sleep(0)
    finish.set()
    await ending
    with pytest.raises(CallRefused, match="is over"):
        await begin(calls)


async def test_the_last_save_is_the_latest(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(worker(store := Shared()))
    session = await begin(calls)
    _, finish = hold_next_save(store, monkeypatch)
    await turn(calls, session, "I am Ada")
    finish.set()
    await saved(calls)
    assert contents(await begin(calls_of(worker(store)))) == ["I am Ada", "Yes."]


async def test_a_draining_server_finishes_its_calls_and_reports_503() -> None:
    async with serving(*STORY_RULES, capabilities=[]) as (server, address):
        assert await health(address) == (200, {"status": "ok", "active": 0})
        async with caller_on(server.config.app, address) as call:
            assert await health(address) == (200, {"status": "ok", "active": 1})
            await call.begins("Tell me a story")
            await call.hears("Once")
            signal.raise_signal(signal.SIGTERM)
            assert (await call.hears_reply(call.turns[0])).text == STORY_RULES[0]["says"]
            assert await health(address) == (503, {"status": "draining", "active": 1})
            assert (await call.says("And now?")).text == "Yes."
            await call.hangs_up()
            assert await stopping(server)


@pytest.mark.parametrize(
    ("drain", "signals_again"), [({"drain": 0.1}, False), ({}, True)], ids=["not in time", "a second signal"]
)
async def test_calls_are_cut_off_after_the_drain_and_at_a_second_signal(
    drain: dict[str, float], signals_again: bool
) -> None:
    async with serving(*STORY_RULES, capabilities=[], **drain) as (server, address):
        stops = []
        with suppress(httpx2.TransportError):  # the caller hangs up, and the server is gone
            async with caller_on(server.config.app, address):
                signal.raise_signal(signal.SIGTERM)
                while server.draining is None:
                    await asyncio.sleep(0)
                stops.append(server.should_exit)
                if signals_again:
                    signal.raise_signal(signal.SIGTERM)
                stops.append(await stopping(server))
        assert stops == [False, True]
