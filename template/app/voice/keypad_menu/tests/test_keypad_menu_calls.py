"""Callers whose speech or agent is gone: the menu, its keys, and where they lead."""

from __future__ import annotations

from typing import Any

import pytest

from app import config
from app.capability import Capability
from app.registry import CAPABILITIES
from app.voice.keypad_menu import DIALED, KEY, VOICEMAIL, KeypadMenu, phrases
from app.voice.keypad_menu.phrases import menu
from kit import defaults, twiml
from kit.caller import Call, calls_of
from kit.plugin import Web
from kit.voice_fixtures import Dial

NUMBER = "+15005550010"
OWN = {"capabilities": [KeypadMenu]}  # no hand-off
UP = {"CallSid": "CA1", "CallStatus": "in-progress", "Direction": "inbound"}
PARTIES = {"From": defaults.CALLER, "To": defaults.CALLED}


@pytest.fixture(autouse=True)
def voicemail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "VOICEMAIL", True)


async def lost(dial: Dial, **options: Any) -> Call:
    """A call that has lost its WebSocket twice."""
    call = await dial(**{**OWN, "fallback_number": NUMBER, **options})
    await call.drops()
    await call.drops()
    return call


async def test_a_call_that_is_lost_gets_the_menu(dial: Dial) -> None:
    call = await lost(dial)
    assert call.farewell == f"{menu.SORRY} {menu.PERSON} {menu.VOICEMAIL}"
    assert call.gather and call.ended_by is None
    assert calls_of(call.app).get(call.sid) is None, "the conversation with the agent is over"


async def test_a_server_that_cannot_be_reached_leads_to_the_menu(web: Web) -> None:
    """The WebSocket has never opened (64102), and no worker knows the call."""
    form = {**UP, **PARTIES, "SessionStatus": "failed", "ErrorCode": "64102"}
    document = twiml.read((await web.post("/connect-action", form)).text)
    assert document.asks == f"{defaults.PUBLIC_URL}{KEY}" and menu.SORRY in document.said


async def test_a_caller_who_presses_nothing_hears_the_menu_again_and_a_goodbye(dial: Dial) -> None:
    call = await lost(dial)
    await call.chooses()
    assert call.gather and call.farewell.count(menu.PERSON) == 2 and call.farewell.count(menu.SORRY) == 1
    await call.chooses()
    assert call.farewell.endswith(phrases.GOODBYE) and call.ended_by == "agent"


async def test_another_key_asks_once_more(dial: Dial) -> None:
    call = await lost(dial)
    await call.chooses("7")
    assert call.gather and call.farewell.count(menu.PERSON) == 2


@pytest.mark.parametrize("result", ["completed", "answered"])
async def test_a_key_calls_a_person(dial: Dial, result: str) -> None:
    call = await lost(dial)
    await call.chooses("1")
    assert call.dialed and (call.dialed.number, call.dialed.caller_id) == (NUMBER, "")
    assert call.farewell.endswith(menu.CONNECTING)
    await call.account.simulate(call, {"dial": result})
    assert call.farewell.endswith(phrases.GOODBYE) and call.ended_by == "human"


@pytest.mark.parametrize("result", ["busy", "no-answer", "failed", "canceled"])
async def test_a_person_who_does_not_answer_leaves_a_voicemail(
    dial: Dial, monkeypatch: pytest.MonkeyPatch, result: str
) -> None:
    left = []

    async def on_voicemail(caller: str, recording: str) -> None:
        left.append((caller, recording))

    monkeypatch.setitem(menu._defaults, "on_voicemail", on_voicemail)
    monkeypatch.setattr(menu, "own", object())
    call = await lost(dial)
    await call.chooses("1")
    await call.account.simulate(call, {"dial": result})
    assert f"{menu.NO_PERSON} {menu.MESSAGE}" in call.farewell
    assert call.farewell.endswith(f"{menu.CALL_BACK} {phrases.GOODBYE}")
    (recording,) = call.account.recordings.of(call.sid)
    assert left == [(call.caller, recording["media_url"])]


async def test_where_no_voicemail_may_be_left_none_is_offered(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "VOICEMAIL", False)
    call = await lost(dial)
    assert menu.VOICEMAIL not in call.farewell
    await call.chooses("2")
    assert call.account.recordings.of(call.sid) == [] and call.gather, "the key is not one of the menu"
    await call.chooses("1")
    await call.account.simulate(call, {"dial": "busy"})
    assert call.farewell.endswith(f"{menu.NO_PERSON} {menu.CALL_AGAIN}")
    assert call.account.recordings.of(call.sid) == []


async def test_a_menu_that_leads_nowhere_is_not_spoken(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "VOICEMAIL", False)
    call = await lost(dial, fallback_number=None)
    assert call.farewell == phrases.UNAVAILABLE and call.ended_by == "agent"


async def test_an_error_of_on_voicemail_is_logged_and_the_caller_hears_words(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(menu._defaults, "on_voicemail", None)
    monkeypatch.setattr(menu, "own", object())
    form = {**UP, **PARTIES, "RecordingUrl": "https://api.twilio.com/RE1", "RecordingDuration": "7"}
    assert phrases.GOODBYE in twiml.read((await web.post(VOICEMAIL, form)).text).said


@pytest.mark.parametrize("caller", ["anonymous", "sip:ada@example.com", "+266696687"])
async def test_a_caller_without_a_number_is_shown_as_the_agent_and_promised_nothing(
    dial: Dial, web: Web, caller: str
) -> None:
    call = await dial(**OWN, fallback_number=NUMBER)
    form = {**UP, "From": caller, "To": defaults.CALLED}
    assert (document := twiml.read(await call.post(KEY, {**form, "Digits": "1"}))).dialed
    assert document.dialed and document.dialed.caller_id == defaults.CALLED
    assert menu.CALL_BACK not in twiml.read((await web.post(VOICEMAIL, form)).text).said


async def test_a_caller_who_has_hung_up_gets_empty_twiml(web: Web) -> None:
    form = {**UP, **PARTIES, "CallStatus": "completed", "DialCallStatus": "completed"}
    assert twiml.read((await web.post(DIALED, form)).text).verbs == []


@pytest.mark.parametrize("path", [KEY, DIALED, VOICEMAIL])
async def test_only_twilio_may_ask(web: Web, path: str) -> None:
    assert (await web.post(path, UP, signature="")).status_code == 403


# --- the agent itself fails ----------------------------------------------------------------------------------------

DOWN = {"hears": "", "fails": True}


async def test_failed_turns_lead_to_the_menu(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(menu, "own", object())
    monkeypatch.setitem(menu._defaults, "FAILURES", 2)
    call = await dial(DOWN, **OWN, fallback_number=NUMBER)
    for _ in range(2):
        assert (await call.says("Hello?")).text == phrases.APOLOGY
    assert (await call.says("Hello?")).text.strip() == menu.SORRY
    await call.wait_for_end()
    assert call.farewell == f"{menu.PERSON} {menu.VOICEMAIL}"
    await call.chooses("1")
    assert call.dialed


async def test_a_turn_that_works_starts_the_count_again(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(menu, "own", object())
    monkeypatch.setitem(menu._defaults, "FAILURES", 2)
    call = await dial({"hears": "works", "says": "Yes."}, DOWN, **OWN, fallback_number=NUMBER)
    for text in ("Hello?", "it works", "Hello?", "it works"):
        await call.says(text)
    assert not call.session.ending


@pytest.mark.skipif(
    all(each.is_with_human is Capability.is_with_human for each in CAPABILITIES), reason="no capability has a human"
)
async def test_a_key_leads_to_the_queue_of_the_hand_off(dial: Dial) -> None:
    call = await lost(dial, capabilities=None, fallback_number=None)
    await call.chooses("1")
    assert call.queue and call.task and call.task["reason_code"] == "keypad_menu"
