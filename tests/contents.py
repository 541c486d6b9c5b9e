"""What a rendered file must be, whatever the answers: its tool parses it, ruff accepts it, and its words are words."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dotenv
import yaml
from spellchecker import SpellChecker

from tests.questionnaire import ROOT

WORDS = ROOT / "tests" / "words.txt"
"""Words that an English dictionary does not have: names of products and of code, and phrases in other languages."""
# GitHub's own expressions are `${{ … }}`.
JINJA = re.compile(r"(?<!\$)\{\{-? +[a-z_]|\{%|\{#")
STRAY = re.compile(r"[ \t]$|\n\n\n\n", re.MULTILINE)
WORD = re.compile(r"[A-ZÀ-Þ]?[a-zß-ÿĀ-ž]{3,}|[A-Z]{3,}(?![a-z])")
CODED = re.compile(r"[\w+/=-]*\d[\w+/=-]*|\\[a-z]|https?://\S+")


def digest(name: str, text: str) -> str:
    return hashlib.sha256(f"{name}\0{text}".encode()).hexdigest()[:16]


def parse(name: str, text: str) -> Any:
    """The file as its tool parses it; raises when it does not parse."""
    match Path(name):
        case Path(suffix=".toml"):
            return tomllib.loads(text)
        case Path(suffix=".yml" | ".yaml"):
            documents = list(yaml.load_all(text, yaml.CSafeLoader))
            return documents[0] if len(documents) == 1 else documents
        case Path(suffix=".json"):
            return json.loads(text)
        case Path(suffix=".py"):
            return compile(text, name, "exec")
        case Path(name=".env.example"):
            assert not [line for line in text.splitlines() if line and not re.match(r"#|[A-Z_]+=", line)]
            return dotenv.dotenv_values(stream=io.StringIO(text))


@functools.cache
def known_words() -> frozenset[str]:
    return frozenset(SpellChecker().word_frequency.words()) | set(WORDS.read_text(encoding="utf-8").split())


def words(text: str) -> set[str]:
    """The words of a text and of the names in it; no codes, and no addresses."""
    return {word.casefold() for word in WORD.findall(CODED.sub(" ", text))}


def unknown_words(text: str) -> list[str]:
    return sorted(words(text) - known_words())


def faults(name: str, text: str) -> Iterator[str]:
    """What is wrong with a file, ruff's rules aside."""
    if JINJA.search(text):
        yield f"{name} has Jinja left"
    if text and not text.endswith("\n"):
        yield f"{name} does not end with a line break"
    if STRAY.search(text):
        yield f"{name} has stray blanks"
    for word in unknown_words(text):
        yield f"{name}: {word} is no known word. Correct it, or add it to tests/{WORDS.name}"
    try:
        parse(name, text)
    except Exception as error:
        yield f"{name} does not parse: {error}"


def lint(texts: Iterable[tuple[str, str]], place: Path, config: Path) -> list[str]:
    """What ruff says of these files, with the settings of an emitted project. They are written below `place`."""
    for name, text in texts:
        if name.endswith(".py"):
            root = place / digest(name, text)
            kept = root / name
            kept.parent.mkdir(parents=True)
            for folder in kept.relative_to(root).parents:  # a package is known by the folders around it
                (root / folder / "__init__.py").touch()
            kept.write_text(text, encoding="utf-8")
    found = []
    for verb in (["format", "--diff"], ["check"]) if place.exists() else ():
        ruff = ["ruff", *verb, "--no-cache", "--quiet", "--config", str(config), str(place)]
        linted = subprocess.run(ruff, capture_output=True, encoding="utf-8")
        found += [linted.stdout + linted.stderr] if linted.returncode else []
    return found


def check(texts: Iterable[tuple[str, str]], place: Path, config: Path) -> None:
    """Fail for everything that is wrong with these files. `place` is an empty folder, `config` a pyproject.toml."""
    distinct = set(texts)
    found = [fault for name, text in sorted(distinct) for fault in faults(name, text)]
    found += lint(distinct, place, config)
    assert not found, "\n".join(found[:50])
