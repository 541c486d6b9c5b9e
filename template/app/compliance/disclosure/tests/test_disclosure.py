"""Every conversation begins with the disclosure, in the words that the owner's file has. Not legal advice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import agent
from app import config
from app.compliance.disclosure import IS_HIPAA, STATE_KEY, Disclosure
from app.compliance.disclosure.wording import wording
from app.compliance.wording import Wording
from kit.plugin import Begin

SENTENCE = wording.sentence(config.FIRST_LANGUAGE, "disclosure")
DEFAULTS = {"en-US": {"disclosure": "I am an AI.", "reminder": "Still an AI."}, "de-DE": {"disclosure": "KI."}}
REVIEWED = "en-US: {reviewed: true, disclosure: An AI speaks., reminder: Still an AI.}\n"


@pytest.fixture
def disclosure() -> Disclosure:
    return Disclosure(timedelta(minutes=15))


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Wording]:
    """The wording of a file with this text."""
    monkeypatch.setattr(agent, "__path__", [str(tmp_path)])

    def write(text: str) -> Wording:
        (tmp_path / "legal.yml").write_text(text, encoding="utf-8")
        return Wording("legal", DEFAULTS)

    return write


def test_the_first_words_get_the_sentence_unless_they_have_it(disclosure: Disclosure) -> None:
    assert disclosure.add_words("Tea shop.", last=False).startswith(f"{SENTENCE} ")
    assert disclosure.add_words(f"Hello. {SENTENCE} Tea?", last=False).count(SENTENCE) == 1


def test_the_last_words_get_it_only_where_the_end_counts(disclosure: Disclosure) -> None:
    assert (SENTENCE in disclosure.add_words("Goodbye.", last=True)) == IS_HIPAA


def test_patients_hear_how_to_reach_a_human(disclosure: Disclosure, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.compliance.disclosure.IS_HIPAA", True)
    monkeypatch.setitem(wording.own, config.FIRST_LANGUAGE, {"disclosure": SENTENCE, "person": "Call 555 0100."})
    assert disclosure.add_words("Hello.", last=False) == f"{SENTENCE} Hello. Call 555 0100."
    assert disclosure.add_words("Bye.", last=True) == f"{SENTENCE} Bye."


def test_a_sentence_of_the_owner_wins_and_a_missing_one_is_the_templates(own: Callable[[str], Wording]) -> None:
    words = own(REVIEWED)
    assert words.sentence("en-US", "disclosure") == "An AI speaks."
    assert words.sentence("de-DE", "disclosure") == "KI."
    assert words.sentence("fr-FR", "disclosure") == "An AI speaks."  # a language that the project does not have
    assert words.sentence("en-US", "person") == ""


@pytest.mark.parametrize(
    ("text", "unreviewed"),
    [
        (f"{REVIEWED}de-DE: {{reviewed: true, disclosure: KI.}}", []),
        (REVIEWED, ["de-DE"]),
        ("en-US: {reviewed: true, disclosure: An AI speaks.}", ["en-US", "de-DE"]),  # the reminder is the template's
        (f"{REVIEWED.replace('true', 'false')}de-DE: {{reviewed: true, disclosure: KI.}}", ["en-US"]),
        ("", ["en-US", "de-DE"]),
    ],
)
def test_wording_is_unreviewed_until_the_owner_says_so(
    own: Callable[[str], Wording], text: str, unreviewed: list[str]
) -> None:
    assert own(text).unreviewed() == unreviewed


@pytest.mark.parametrize(
    "text", ["en-US: Hello", "- en-US", "en-US: {disclosure: [a]}", "en-US: {", "en-US: {reviewed: 1}"]
)
def test_a_file_that_cannot_be_read_is_refused_in_one_line(own: Callable[[str], Wording], text: str) -> None:
    with pytest.raises(ValueError, match=r"^agent/legal.yml[^\n]+$"):
        own(text)


async def test_a_conversation_begins_with_the_sentence_once(begin: Begin) -> None:
    talk = await begin({"hears": "", "says": "It is open."})
    first = await talk.says("Hello")
    heard = first.introduction or talk.party.greeting
    assert SENTENCE in heard
    assert SENTENCE not in (await talk.says("Again")).text
    assert (await talk.session()).state[STATE_KEY]["said"]


async def test_people_who_write_for_days_read_it_again(begin: Begin) -> None:
    days = [0]
    talk = await begin(
        {"hears": "", "says": "Yes."}, now=lambda: datetime(2026, 3, 2, 10, tzinfo=UTC) + timedelta(days[0])
    )
    if talk.driver.channel != "messaging":
        pytest.skip("a call does not last for days")
    for day, introduced in ((0, True), (0, False), (2, True), (2, False)):
        days[0] = day
        assert (SENTENCE in (await talk.says("Hello")).introduction) == introduced
