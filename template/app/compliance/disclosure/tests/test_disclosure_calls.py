"""On a call the disclosure cannot be interrupted; what was cut off is said again. Not legal advice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app import config
from app.compliance.disclosure import STATE_KEY
from app.compliance.disclosure.wording import wording
from app.session import this_session
from app.voice.phrases import phrases
from kit.caller import Call
from kit.voice_fixtures import Dial, leave_without_a_word

SENTENCE = wording.sentence(config.FIRST_LANGUAGE, "disclosure")
REMINDER = wording.sentence(config.FIRST_LANGUAGE, "reminder")
YES = {"hears": "", "says": "Yes."}
LONG = {"hears": "long", "says": "A long story about many things.", "word_delay": 0.002}


def state(call: Call) -> Mapping[str, Any]:
    kept: Mapping[str, Any] = call.session.state[STATE_KEY]
    return kept


async def is_cut_off(call: Call, heard: str) -> None:
    """Twilio reports an interruption, although TwiML forbids it."""
    await call.sends({"type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": 100})


async def test_the_greeting_has_it_and_cannot_be_interrupted(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "GREETING_INTERRUPTIBLE", True)
    call = await dial(YES)
    assert SENTENCE in call.greeting
    assert call.attribute("welcomeGreetingInterruptible", "any") == "none"
    assert await call.interrupts() == call.greeting
    assert (await call.says("Hello")).text == "Yes."
    assert call.session.greeting == call.greeting


async def test_a_greeting_of_the_owner_without_it_gets_it(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.voice.calls.phrases", type("Own", (), {"GREETING": "Tea shop."}))
    assert (await dial(YES)).session.greeting.startswith(f"{SENTENCE} ")


async def test_a_second_connection_says_it_again(dial: Dial) -> None:
    call = await dial(YES)
    await call.drops()
    assert SENTENCE in call.greeting and phrases.RECONNECTED in call.greeting
    assert call.attribute("welcomeGreetingInterruptible", "any") == "none"


async def test_a_caller_who_comes_back_from_elsewhere_hears_it_again(dial: Dial) -> None:
    """After a human or a payment: the capability that connects the caller to the agent gives a greeting."""
    call = await dial(YES)
    voice = call.app.state.conversations.channel("voice")
    assert f"{SENTENCE} Thank you, it is paid." in await voice.connect_twiml(call.form(), "Thank you, it is paid.")


async def test_one_that_was_cut_off_is_said_at_the_next_turn_and_not_again(dial: Dial) -> None:
    call = await dial(YES)
    await is_cut_off(call, SENTENCE[:5])
    assert (await call.says("Hello")).text == f"{SENTENCE} Yes."
    said = [frame for frame in call.frames if SENTENCE in frame.get("token", "")]
    assert [frame.get("interruptible") for frame in said] == [False]
    assert all("interruptible" not in frame for frame in call.frames if frame not in said)
    assert (await call.says("Again")).text == "Yes."


async def test_a_repetition_that_is_cut_off_too_is_said_once_more(dial: Dial) -> None:
    call = await dial(LONG, YES)
    await is_cut_off(call, "")
    await call.begins("A long one")
    await call.hears("A long")
    call._unreported.clear()  # Twilio has not played the frame to its end
    await is_cut_off(call, SENTENCE[:3])
    await call.hears_reply(call.turns[-1])
    assert (await call.says("Hello")).text == f"{SENTENCE} Yes."


async def test_an_interruption_of_later_words_does_not_bring_it_back(dial: Dial) -> None:
    call = await dial(LONG, YES)
    await call.says("Hello")
    await call.begins("A long one")
    await call.interrupts(after="A long")
    assert (await call.says("Go on")).text == "Yes."


async def test_an_interruption_before_the_reply_begins_is_none_of_the_greeting(dial: Dial) -> None:
    call = await dial({"hears": "first", "hangs": True}, YES)
    await call.begins("first")
    await call.interrupts()
    assert (await call.says("second")).text == "Yes."


async def test_a_long_call_gets_a_reminder_in_its_time(dial: Dial) -> None:
    minutes = [0.0]
    start = datetime(2026, 3, 2, 10, tzinfo=UTC)
    call = await dial(YES, now=lambda: start + timedelta(minutes=minutes[0]), ai_reminder=10)
    replies = []
    for minutes[0] in (1, 9.9, 10, 11, 21):
        replies.append((await call.says("Hello")).text)
    assert replies == ["Yes.", "Yes.", f"{REMINDER} Yes.", "Yes.", f"{REMINDER} Yes."]


@pytest.mark.parametrize("applies", [True, False])
async def test_patients_hear_it_at_the_end_too(dial: Dial, monkeypatch: pytest.MonkeyPatch, applies: bool) -> None:
    monkeypatch.setattr("app.compliance.disclosure.IS_HIPAA", applies)
    call = await dial({"calls": {"leave_without_a_word": {}}}, tools=[leave_without_a_word])
    await call.begins("That was all")
    await call.wait_for_end()
    assert phrases.GOODBYE in call.farewell and (SENTENCE in call.farewell) == applies


async def test_the_log_keeps_what_was_heard(dial: Dial, logged: Callable[[], str]) -> None:
    call = await dial(YES)
    assert "tokens-played" in call.attribute("events", "").split()
    assert state(call)["heard"] is None
    await call.says("Hello")
    assert state(call)["heard"] and '"proof": "not interrupted"' in logged()
    await call.drops()
    await is_cut_off(call, "")
    await call.says("Hello")
    await call.sends({"type": "info", "name": "tokensPlayed", "value": f"{SENTENCE} "})
    await call.says("Again")
    assert '"proof": "tokens-played"' in logged()
    assert SENTENCE not in logged()


async def test_it_is_said_in_the_language_of_the_call(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(wording.defaults, "de-DE", {"disclosure": "Ich bin eine KI.", "reminder": "Eine KI."})  # type: ignore[arg-type]
    monkeypatch.setitem(wording.own, "de-DE", {})

    def german() -> str:
        """Speak German."""
        this_session().language = "de-DE"
        return "Deutsch"

    call = await dial({"hears": "German", "calls": {"german": {}}}, YES, tools=[german])
    await call.says("German please")
    await call.drops()
    await is_cut_off(call, "")
    assert (await call.says("Hallo")).text == "Ich bin eine KI. Yes."
