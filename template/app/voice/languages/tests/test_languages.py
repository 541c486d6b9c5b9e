"""A call in one of several languages: what the caller hears without the model is in that language."""

from __future__ import annotations

import pytest

from app import config
from app.capability import AddsWords
from app.connection import NotSupported
from app.registry import CAPABILITIES
from app.voice.languages import can_switch
from app.voice.languages.translations import DEFAULTS, own, translated
from app.voice.phrases import phrases
from kit import defaults
from kit.voice_fixtures import Dial, leave

FIRST, OTHER = list(config.LANGUAGES)[:2]
SWITCH = {"hears": "other", "calls": {"switch_language": {"language": OTHER}}}


def test_each_language_has_its_phrases() -> None:
    assert list(DEFAULTS) == list(config.LANGUAGES)[1:]
    for name in ("GREETING", "HOLD", "APOLOGY", "STILL_THERE", "GOODBYE"):
        assert translated(FIRST, name) == getattr(phrases, name)
        assert translated(OTHER, name) == own.TRANSLATIONS.get(OTHER, DEFAULTS[OTHER])[name]


async def test_a_number_has_its_own_language(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own.own, "NUMBERS", {defaults.CALLED: OTHER}, raising=False)
    call = await dial({"hears": "", "says": "Yes."})
    added = any(hasattr(each, AddsWords.add_words.__name__) for each in CAPABILITIES)
    first = added or bool(call.opening)  # what Twilio says before the agent is in the first language
    assert call.session.language == (FIRST if first else OTHER)
    assert (translated(OTHER, "GREETING") in call.greeting) != first
    assert call.session.connection.apology == translated(call.session.language, "APOLOGY")


async def test_another_number_begins_in_the_first_language(dial: Dial, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own.own, "NUMBERS", {"+15005550009": OTHER, defaults.CALLED: "tlh"}, raising=False)
    call = await dial({"hears": "", "says": "Yes."})
    assert call.session.language == FIRST and phrases.GREETING in call.greeting


async def test_the_model_changes_the_language_of_the_call(dial: Dial) -> None:
    call = await dial(SWITCH, {"hears": "bye", "calls": {"leave": {"reason": "done"}}}, tools=[leave])
    if not can_switch(call.session):
        with pytest.raises(NotSupported):
            await call.session.connection.switch_language(OTHER)
        return
    turn = await call.says("The other language, please")
    assert translated(OTHER, "GREETING") in turn.text and call.session.language == OTHER
    assert call.session.connection.hold == translated(OTHER, "HOLD")
    assert call.session.connection.still_there == translated(OTHER, "STILL_THERE")
    await call.drops()
    assert call.session.connection.apology == translated(OTHER, "APOLOGY")
    await call.begins("bye")
    await call.wait_for_end()
    assert call.farewell.startswith(translated(OTHER, "GOODBYE"))
