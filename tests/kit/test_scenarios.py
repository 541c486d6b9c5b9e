"""The loader names every mistake of a scenario file; the player reports every expectation that fails."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from app import Session
from app.capability import Capability
from kit.scenario import Result
from kit.scenario_file import ScenarioError, load
from kit.scenario_report import junit
from kit.testing import play

# --- files ---------------------------------------------------------------------------------------------------


def mistakes(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError) as error:
        load(path)
    return str(error.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "wrong.yml"


WRONG: dict[str, tuple[str, str]] = {
    "a misspelt field": (
        "turns:\n  - answer: true\n    expct: {contains: x}\n",
        ":3: turns.0.expct: there is no such field; did you mean expect?",
    ),
    "a misspelt expectation": (
        "turns:\n  - answer: true\n    expect:\n      contain: x\n",
        ":4: turns.0.expect.contain: there is no such field; did you mean contains?",
    ),
    "an unknown command": ("turns:\n  - command: reboot\n", ":2: turns.0.command: there is no reboot; "),
    "an unknown field": ("turns: [{answer: true}]\nxylophone: 1\n", ":2: xylophone: there is no such field"),
    "a misspelt rule": (
        "model:\n  - heers: x\n    says: y\nturns: [{answer: true}]\n",
        ":2: model.0.heers: there is no such field; did you mean hears?",
    ),
    "a step that does two things": (
        "turns:\n  - answer: true\n  - caller: Hello\n    hangup: true\n",
        ":3: turns.1: ",
    ),
    "a step that does nothing": ("turns:\n  - expect: {contains: x}\n", ":2: turns.0: "),
    "a value of the wrong type": ("turns:\n  - answer: true\n  - silence: long\n", ":3: turns.1.silence: "),
    "a number that is too large": ("turns:\n  - silence: 600\n", ":2: turns.0.silence: "),
    "keys that no phone has": ("turns:\n  - dtmf: A\n", ":2: turns.0.dtmf: "),
    "an unknown sentence": ("turns:\n  - answer: true\n    expect: {phrase: HELLO}\n", ":3: turns.0.expect.phrase: "),
    "a number that is none": ("given:\n  caller: '0800'\nturns: [{answer: true}]\n", ":2: given.caller: "),
    "a pattern that is none": ("turns:\n  - answer: true\n    expect: {regex: '('}\n", ":3: turns.0.expect.regex: "),
    "a rule that can match nothing": ("model:\n  - hears: '('\nturns: [{answer: true}]\n", ":2: model.0.hears: "),
    "a text that is none in YAML": (
        "turns:\n  - answer: true\n    expect: {contains: yes}\n",
        ":3: turns.0.expect.contains: YAML takes yes",
    ),
    "no turns": ("description: nothing\n", ":1: turns: "),
    "an empty file": ("", ":1: turns: "),
    "a list": ("- answer: true\n", ":1: "),
    "no YAML": ("turns:\n  - answer: [\n", ":3: "),
    "a tab": ("turns:\n\t- answer: true\n", ":2: "),
}


@pytest.mark.parametrize(("text", "mistake"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_names_line_and_field(path: Path, text: str, mistake: str) -> None:
    assert f"{path}{mistake}" in mistakes(path, text)


def test_every_mistake_of_a_file_is_named(path: Path) -> None:
    text = "turns:\n  - answer: true\n    expct: {}\n  - silence: long\n"
    assert len(mistakes(path, text).splitlines()) == 2


# --- conversations ---------------------------------------------------------------------------------------------


async def played(path: Path, turns: str, ending: str = "") -> Result:
    """The result of `turns` with an agent that says yes."""
    write(path, f"model:\n  - says: Yes, it is open.\nturns:\n{turns}\n{ending}")
    return await play(path)


def write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("expect", "failure"),
    [
        ("contains: closed", "'closed' is missing in 'Yes, it is open.'"),
        ("contains: [open, closed]", "'closed' is missing"),
        ("absent: OPEN", "'OPEN' must not be in 'Yes, it is open.'"),
        ("regex: ^no", "/^no/ does not match"),
        ("phrase: APOLOGY", "APOLOGY is missing"),
        ("tools: [look_up]", "tools called: [], expected: ['look_up']"),
        ("within_ms: 0.001", "the first word took"),
        ("remembers: closed", "the history lacks 'closed'"),
        ("instructions_contain: closed", "the instructions lack 'closed'"),
        ("forgets: open", "the history has 'open', which the caller never heard"),
    ],
)
async def test_an_expectation_that_fails_is_reported_with_its_turn(path: Path, expect: str, failure: str) -> None:
    result = await played(path, f"  - caller: Good morning.\n  - caller: Is it open?\n    expect: {{{expect}}}")
    (reported,) = result.failures
    assert reported.startswith("turn 2: ") and failure in reported


@pytest.mark.parametrize(
    "expect",
    [
        "contains: OPEN",
        "absent: 4711",
        "absent: closed",
        "regex: ^yes",
        "tools: []",
        "no_tools: [look_up]",
        "remembers: open",
    ],
)
async def test_an_expectation_that_holds_is_not_reported(path: Path, expect: str) -> None:
    result = await played(path, f"  - caller: Good morning.\n  - caller: Is it open?\n    expect: {{{expect}}}")
    assert result.passed


async def test_every_failed_expectation_of_a_reply_is_reported(path: Path) -> None:
    result = await played(path, "  - caller: Hello\n    expect: {contains: a1, absent: 'Yes', regex: ^no}")
    assert len(result.failures) == 3


async def silence(*_: object) -> AsyncGenerator[str]:
    for token in [""]:
        yield token


async def test_an_agent_that_does_not_answer_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.brain.Brain.reply", silence)
    result = await played(path, "  - caller: Hello")
    assert re.search("silence in answer to 'Hello'|no answer", result.failures[0])


def test_a_channel_that_the_project_has_not_is_refused(path: Path) -> None:
    text = "given:\n  channel: pigeon\nturns: [{caller: Hello}]\n"
    assert f"{path}:2: given.channel: " in mistakes(path, text)


async def test_a_request_beyond_the_machine_is_reported(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reporting(Capability):
        async def on_start(self, session: Session) -> None:
            await asyncio.get_running_loop().getaddrinfo("statistics.example", 443)

    monkeypatch.setattr("app.registry.CAPABILITIES", [Reporting])
    result = await played(path, "  - caller: Hello")
    assert result.failures == ["the app tried to reach statistics.example"]


# --- results ------------------------------------------------------------------------------------------------------


def test_results_as_junit_are_well_formed() -> None:
    results = [Result("good", seconds=0.5), Result("bad", ["turn 1: '<Say>' & \"more\"", "turn 2: \x00 and \x1b[0m"])]
    suite = ElementTree.fromstring(junit(results))
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    good, bad = suite.findall("testcase")
    assert good.find("failure") is None
    failure = bad.find("failure")
    assert failure is not None and "<Say>" in str(failure.get("message"))
