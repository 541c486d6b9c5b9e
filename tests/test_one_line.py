"""Every refusal is one line with value, reason and a way out: by `copier copy -d`, `make new` and `make check`."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from copier._cli import CopierApp
from copier._main import Worker
from copier.errors import CopierError

import hooks.new
from hooks.check import Interview, check, written
from tests import shortcuts
from tests.questionnaire import ASKED, Answers
from tests.test_refusals import RULES

LONG = "x" * 5000
ODD: list[Any] = [
    "a\nb",
    "ends\n",
    "{{ path }}",
    "{% if x %}",
    "{x!r}",
    "%s %(x)s",
    '"',
    "'",
    "\\",
    "<b>",
    LONG,
    "é\u2028",
]
NEVER: list[Any] = [None, 5, 3.5, ["x", "a\nb"], [[1]], {"a\nb": 1}, datetime.date(2026, 11, 29), b"x", *ODD, "", " "]
LISTS = ["[hipaa", "[", "[[hipaa]]", "[{a: b}]", "[!!binary x]", "{a: b}", "null", "de-DE;en-US", '["x]', "[x, y, x]"]
OWN: list[Answers] = [
    {"project_name": "!!!"},
    {"project_name": "🙂"},
    {"project_name": "\u200b"},
    {"project_name": "\ud800"},
    {"description": "\ud800"},
    {"a\nb": "voice"},
    {"": "voice"},
    {LONG: "voice"},
    {"channel": "voice", "tier": "1"},
    {"path": "manual", "channels": "omnichannel", "regulations": "[hipaa]", "languages": "tlh, xx", "voice": "a b"},
    {"path": "aws", "aws_region": "us-east-1\n", "aws_model": "amazon.nova-pro-v1:0\n"},
    {"path": "azure", "azure_model": "gpt-6-luna\n"},
    {"speech_timeout": "700\n"},
    {"aws_model": "a\nb"},
    {"operators": "sentiment; summary"},
    {"project_name": "42"},
    {"project_name": "24/7"},
    {"project_name": "- 1 -"},
]
WHOLE = ["regulations", "languages", "path", "operators", "partial_prompts", "speech_timeout"]
COPIERS_WORDS = r"Invalid choice for|Could not convert|Invalid answer"
"""Refusals of Copier itself, of what is no choice or has another type: `make new` and `make check` say more."""
FIX = re.compile(r"\b(Set|Take|Keep|Leave|Write|Use|Name|Did you mean|The questions are|Known options:) ")


def odd() -> Iterator[Answers]:
    """For some questions every odd value; the others share them, a third each."""
    yield from OWN
    for place, (name, details) in enumerate(ASKED.items()):
        values = [*LISTS] if name in ("languages", "regulations", "operators") else []
        if "choices" in details or details["type"] == "bool":
            values += NEVER
        elif name not in ("project_name", "description"):
            values += [value for value in NEVER if value not in ("", 5)] + ["a b"]
        for value in values if name in WHOLE else values[place % 3 :: 3]:
            yield {**({"level": "custom"} if name == "memory" else {}), name: value}


ODDS = [*odd()]
FEW = [place for place, given in enumerate(ODDS) if given in OWN or place % 30 == 0]
FIRST = {tuple(wrong): name for name, (wrong, _, _) in reversed(RULES.items())}
SOME = [*FIRST.values()][::6]


@pytest.fixture(scope="module")
def interview(folder: Path, quick: pytest.MonkeyPatch) -> Interview:
    shortcuts.without_git(quick, folder)
    return Interview(folder)


def typed(value: Any) -> str:
    """A value as somebody types it behind `-d name=`."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def by_copier(given: Answers, folder: Path, place: Path) -> str:
    """What `copier copy` ends with, or nothing."""
    worker = Worker(str(folder), place / "project", data=dict(given), quiet=True, defaults=True)
    try:
        worker._ask()
    except Exception as error:
        return str(error)
    return ""


def by_new(
    arguments: list[str],
    interview: Interview,
    patch: pytest.MonkeyPatch,
    capsys: Any,
    commands: list[list[str]] | None = None,
    refusal: Exception | None = None,
) -> list[str]:
    """The lines that `make new` ends with before it copies, or none; `commands` then gets that of Copier.

    With a `refusal`, Copier ends so, as at one of its prompts.
    """

    class Opened:
        def __init__(self, **where: object) -> None: ...
        def __enter__(self) -> Interview:
            return interview

        def __exit__(self, *error: object) -> None: ...

    class Copied(Exception): ...

    def copied(command: list[str], exit: bool) -> None:
        if commands is not None:
            commands.append(command)
        raise refusal or Copied

    patch.setattr(hooks.new, "Interview", Opened)
    patch.setattr(hooks.new, "copied_ref", lambda *_: "HEAD")
    patch.setattr(CopierApp, "run", copied)
    capsys.readouterr()
    try:
        assert hooks.new.main(["project", "--defaults", *arguments]) == 2
    except Copied:
        return []
    said: str = capsys.readouterr().err
    assert said.endswith("\n")
    return said[:-1].split("\n")


def is_good(line: str) -> bool:
    """Whether it fits on a line, and names the question, the reason and a way out."""
    says = re.match(r"(\S+=.{1,66}?|\S+ is empty|-d \S+|\S+) (is|has|have|needs|may|cannot|fails|names|stands|detects"
                    r"|contains|does|answers|option)\b.{3,}", line)  # fmt: skip
    apart = not re.search(r"(?<=[a-z)])[.!?](?=[A-Z])|[.!?]  ", line)  # of two sentences
    return bool(says and line.isprintable() and len(line) < 900 and FIX.search(line) and apart)


def hold_three_ways(
    given: Answers, interview: Interview, folder: Path, place: Path, patch: pytest.MonkeyPatch, capsys: Any
) -> None:
    texts = {name: typed(value) for name, value in given.items()}
    new = by_new([part for name, text in texts.items() for part in ("-d", f"{name}={text}")], interview, patch, capsys)
    file = place / "answers.yml"
    file.write_text(yaml.safe_dump(given, allow_unicode=True), encoding="utf-8", errors="surrogatepass")
    checked = [problem.says for problem in check(file, interview).problems]
    for answers, lines in [(texts, new), (given, checked)]:
        ended = by_copier(answers, folder, place)
        assert bool(ended) == bool(lines), (answers, ended, lines)
        assert [line for line in lines if not is_good(line)] == []
        if ended:
            assert ended.isprintable(), ended
            assert re.match(COPIERS_WORDS, ended) or is_good(ended.partition("': ")[2]), ended
            heads = tuple(f"{written(name)}{sign}" for name in answers for sign in ("=", " is empty"))
            assert any(line.startswith(heads) for line in lines), lines


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in SOME else pytest.mark.matrix) for name in RULES]
)
def test_a_rule_refuses_in_one_line(
    name: str,
    interview: Interview,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong: Any = RULES[name][0]
    hold_three_ways(wrong, interview, folder, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize(
    "place", [pytest.param(place, marks=() if place in FEW else pytest.mark.matrix) for place in range(len(ODDS))]
)
def test_an_odd_answer_is_refused_in_one_line(
    place: int,
    interview: Interview,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hold_three_ways(ODDS[place], interview, folder, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("kind", [ValueError, TypeError, CopierError])
def test_a_refusal_at_a_prompt_is_no_traceback(
    kind: type[Exception], interview: Interview, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    refusal = kind("path=tac cannot have\n  regulations=hipaa. Take path=manual.\n")
    said = by_new([], interview, monkeypatch, capsys, refusal=refusal)
    assert said == ["path=tac cannot have regulations=hipaa. Take path=manual."]


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ({"regulations": "gdpr"}, ["gdpr"]),
        ({"regulations": " gdpr,eu_ai_act "}, ["gdpr", "eu_ai_act"]),
        ({"languages": "de-DE,en-US"}, ["de-DE", "en-US"]),
        ({"languages": "de-DE"}, ["de-DE"]),
        ({"operators": "sentiment, summary", "level": "3"}, ["sentiment", "summary"]),
        ({"operators": "sentiment", "level": "3"}, ["sentiment"]),
    ],
    ids=str,
)
def test_a_list_is_understood_without_brackets(
    typed: Answers,
    taken: list[str],
    interview: Interview,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a file, and by `make new`, which hands Copier what it can read. Copier itself takes no checkboxes without."""
    commands: list[list[str]] = []
    name, computed = next(iter(typed)), {"languages": "language_list", "operators": "operator_list"}
    file = tmp_path / "answers.yml"
    file.write_text(yaml.safe_dump(typed), encoding="utf-8")
    pairs = [part for each, text in typed.items() for part in ("-d", f"{each}={text}")]
    for arguments in (pairs, ["--data-file", str(file)]):
        assert by_new(arguments, interview, monkeypatch, capsys, commands) == []
        given = [part.partition("=") for part in commands[-1] if part.startswith(tuple(f"{each}=" for each in typed))]
        data = {**typed, **{each: text for each, _, text in given}}  # as Copier does: -d wins over the file
        worker = Worker(str(folder), tmp_path / "project", data=data, quiet=True, defaults=True)
        worker._ask()
        assert worker.answers.combined[computed.get(name, name)] == taken
    assert check(file, interview).problems == []


def test_copier_refuses_a_list_without_brackets_with_what_to_write(folder: Path, tmp_path: Path) -> None:
    ended = by_copier({"regulations": "gdpr, eu_ai_act"}, folder, tmp_path)
    assert ended.endswith("regulations=gdpr, eu_ai_act is not a list. Write regulations=[gdpr, eu_ai_act].")
