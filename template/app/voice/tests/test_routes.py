"""The routes of a call: the TwiML that opens it, and the one after its session has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from pydantic_ai import messages as m
from twilio.twiml.voice_response import VoiceResponse

from agent import phrases
from app import config
from app.capability import Capability, Timeouts
from app.connection import Connection
from app.main import create_app
from app.session import Session
from app.voice.calls import Calls
from app.voice.tests.test_security import setup
from kit import defaults, twiml
from kit.agent_app import build_app
from kit.caller import Call, calls_of
from kit.plugin import Web, sign
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from kit.twiml import Document, Relay
from kit.voice_fixtures import Dial, websocket


async def opened(web: Web) -> Relay:
    """The session that the app wants for a new call."""
    answer = await web.post("/twiml", {"CallSid": "CA1", "AccountSid": defaults.ACCOUNT_SID})
    relay = twiml.read(answer.text).relay
    assert relay
    return relay


async def test_a_call_is_connected_and_nothing_else(web: Web) -> None:
    answer = await web.post("/twiml", {"CallSid": "CA1"})
    assert answer.headers["content-type"] == "application/xml"
    assert twiml.read(answer.text).verbs == ["Connect"]


async def test_the_caller_is_greeted_with_our_words(web: Web) -> None:
    assert (await opened(web)).greeting == phrases.GREETING


@pytest.mark.parametrize(("answer", "value"), [(True, "any"), (False, "none")])
async def test_the_greeting_can_be_interrupted_if_the_answers_say_so(
    web: Web, monkeypatch: pytest.MonkeyPatch, answer: bool, value: str
) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", answer)
    assert (await opened(web)).attributes["welcomeGreetingInterruptible"] == value


async def test_words_that_interrupt_are_delivered(web: Web) -> None:
    attributes = (await opened(web)).attributes
    assert attributes["interruptible"] == "any"
    assert attributes["reportInputDuringAgentSpeech"] in ("any", "speech")


async def test_the_answered_languages_and_providers_are_used(web: Web) -> None:
    relay = await opened(web)
    assert relay.languages == list(config.LANGUAGES)
    assert relay.attributes["language"] == relay.languages[0]
    assert relay.attributes["transcriptionProvider"] == config.TRANSCRIPTION_PROVIDER
    assert relay.attributes["ttsProvider"] == config.TTS_PROVIDER
    assert relay.attributes.get("voice") == config.LANGUAGES[relay.languages[0]]


@pytest.mark.parametrize(
    "public_url", ["https://agent.example", "https://host.example:8443", "https://host.example/voice"]
)
async def test_every_address_is_built_from_the_public_url(public_url: str) -> None:
    app = create_app(
        defaults.settings(public_url=public_url),
        [scripted({"says": "Yes."})],
        [],
        transport=SimulatedAccount().transport,
    )
    form = {"CallSid": "CA1"}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        headers = {"X-Twilio-Signature": sign(f"{public_url}/twiml", form)}
        answer = await http.post("/twiml", data=form, headers=headers)
    relay = twiml.read(answer.text).relay
    assert relay and relay.action == f"{public_url}/connect-action"
    assert relay.url == f"{public_url.replace('https', 'wss')}/ws"


async def test_a_call_that_comes_back_opens_the_same_session_with_other_words(call: Call) -> None:
    before = call.relay
    await call.drops()
    assert before and call.relay
    greeting = {"welcomeGreeting": phrases.RECONNECTED}
    assert call.relay.attributes == {**before.attributes, **greeting}


UP = {"CallStatus": "in-progress"}
KNOWN = "CA" + "1" * 32


@dataclass
class Known:
    """An app with a call in progress, as far as the action route is concerned."""

    calls: Calls
    web: Web


@pytest.fixture
async def known(request: pytest.FixtureRequest) -> AsyncGenerator[Known]:
    """With the capabilities that a test names by `capabilities`, else those of the project."""
    app = build_app(capabilities=getattr(request, "param", None))
    await calls_of(app).start(KNOWN, caller=defaults.CALLER, called=defaults.CALLED, connection=Connection())
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://10.0.0.7:8000") as http:
        yield Known(calls_of(app), Web(http))


async def after(known: Known, *, call_sid: str = KNOWN, **form: str) -> Document:
    """What Twilio is told to do with the call after its session has ended like this."""
    return twiml.read((await known.web.post("/connect-action", {"CallSid": call_sid, **form})).text)


async def test_nothing_is_left_to_do_when_the_caller_has_hung_up(known: Known) -> None:
    assert (await after(known, CallStatus="completed", SessionStatus="completed")).verbs == []


async def test_a_call_that_the_agent_has_ended_is_said_goodbye_to(known: Known) -> None:
    document = await after(known, **UP, SessionStatus="ended")
    assert (document.said, document.verbs) == (phrases.GOODBYE, ["Say", "Hangup"])


@pytest.mark.parametrize("data", ['{"reasonCode": "done"}', "{not json", "", "null", "[1]", '"text"'])
async def test_a_handoff_that_nobody_takes_ends_in_a_goodbye(known: Known, data: str) -> None:
    document = await after(known, **UP, SessionStatus="ended", HandoffData=data)
    assert (document.said, document.verbs) == (phrases.GOODBYE, ["Say", "Hangup"])


async def test_a_failed_session_is_opened_again(known: Known) -> None:
    document = await after(known, **UP, SessionStatus="failed", ErrorCode="64105")
    assert document.verbs == ["Connect"]
    assert document.relay and document.relay.greeting == phrases.RECONNECTED


async def test_a_session_that_fails_twice_is_apologised_for(known: Known) -> None:
    await after(known, **UP, SessionStatus="failed")
    document = await after(known, **UP, SessionStatus="failed")
    assert (document.said, document.verbs) == (phrases.UNAVAILABLE, ["Say", "Hangup"])


@pytest.mark.parametrize("status", ["completed", "ended", "failed", "new-in-2027"])
async def test_an_unknown_call_is_answered_too(known: Known, status: str) -> None:
    document = await after(known, call_sid="CA" + "f" * 32, **UP, SessionStatus=status)
    assert document.verbs == ["Say", "Hangup"]


@pytest.mark.parametrize("form", [{"CallSid": ""}, {"SessionStatus": "failed"}, {"HandoffData": "{}"}, UP])
async def test_missing_fields_are_answered_too(web: Web, form: dict[str, str]) -> None:
    answer = await web.post("/connect-action", form)
    assert twiml.read(answer.text).verbs == ["Say", "Hangup"]


@pytest.mark.parametrize(
    "form",
    [
        {"CallStatus": "completed"},
        {**UP, "SessionStatus": "ended"},
        {**UP, "SessionStatus": "ended", "HandoffData": "{}"},
    ],
)
async def test_a_call_that_is_over_is_forgotten(known: Known, form: dict[str, str]) -> None:
    await after(known, **form)
    assert known.calls.get(KNOWN) is None


# --- the line drops --------------------------------------------------------------------------------------


async def test_a_dropped_line_comes_back_with_another_greeting(call: Call) -> None:
    await call.drops()
    assert call.greeting == phrases.RECONNECTED


async def test_the_history_survives_a_reconnect(call: Call) -> None:
    await call.says("My name is Ada")
    await call.drops()
    await call.says("Who am I?")
    assert asked(call.session) == ["My name is Ada"]


async def test_a_line_that_drops_in_the_middle_of_a_reply_leaves_a_history_that_works(dial: Dial) -> None:
    call = await dial({"hears": "story", "says": "Once upon a time", "word_delay": 0.02}, {"hears": "", "says": "Yes."})
    await call.begins("Tell me a story")
    await call.hears("Once")
    await call.drops()
    assert (await call.says("Go on")).text == "Yes."
    assert asked(call.session) == ["Tell me a story"]


async def test_to_speak_over_the_second_greeting_does_not_shorten_the_last_answer(
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


async def test_the_second_drop_ends_the_call(call: Call) -> None:
    await call.drops()
    await call.drops()
    assert (call.ended_by, call.farewell) == ("agent", phrases.UNAVAILABLE)


async def test_a_call_comes_back_although_the_server_has_not_noticed_the_drop(call: Call) -> None:
    old = await websocket(call.address)
    await old.send(setup("CA" + "2" * 32))
    await asyncio.sleep(0.02)
    form = {**call.form(**UP, SessionStatus="failed"), "CallSid": "CA" + "2" * 32}
    await call.post("/connect-action", form)
    new = await websocket(call.address)
    await new.send(setup("CA" + "2" * 32))
    await asyncio.sleep(0.02)
    await old.close()
    await new.send('{"type": "prompt", "voicePrompt": "Hello", "last": true}')
    assert "You" in str(await asyncio.wait_for(new.recv(), 1))
    await new.close()


async def test_a_call_that_does_not_come_back_ends(dial: Dial) -> None:
    call = await dial(timeouts=Timeouts(reconnect=0.02))
    socket = await websocket(call.address)
    await socket.send(setup("CA" + "3" * 32))
    async with asyncio.timeout(10):
        while calls_of(call.app).get("CA" + "3" * 32) is None:
            await asyncio.sleep(0.005)
    await socket.close()
    async with asyncio.timeout(10):
        while calls_of(call.app).get("CA" + "3" * 32):
            await asyncio.sleep(0.005)


# --- somebody takes over -----------------------------------------------------------------------------------


class Desk(Capability):
    """Hands every caller who wants one to a person."""

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        if handoff["wants"] != "a person":
            return None
        response = VoiceResponse()
        response.redirect(f"{defaults.PUBLIC_URL}/desk/{session.id}")
        return str(response)


with_a_desk = pytest.mark.parametrize("known", [[Capability, Desk, Capability]], indirect=True, ids=["desk"])


@with_a_desk
async def test_a_capability_decides_where_a_caller_goes_after_a_handoff(known: Known) -> None:
    document = await after(known, **UP, SessionStatus="ended", HandoffData='{"wants": "a person"}')
    assert document.verbs == ["Redirect"]


@with_a_desk
@pytest.mark.parametrize("data", ['{"wants": "nothing"}', "{}", "[]", "7"])
async def test_a_handoff_that_no_capability_takes_ends_with_a_goodbye(known: Known, data: str) -> None:
    document = await after(known, **UP, SessionStatus="ended", HandoffData=data)
    assert document.said == phrases.GOODBYE


def asked(session: Session) -> list[str]:
    """What the caller has said, according to the history."""
    parts = [part for message in session.history for part in message.parts]
    return [str(part.content) for part in parts if isinstance(part, m.UserPromptPart)]
