"""Renders projects in memory, thousands in a minute: Copier's own Jinja, and each text once for the values it reads.

`test_the_renderer_equals_copier` holds it to the real command.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from copier._main import Worker
from jinja2 import Environment, StrictUndefined, Template, meta, nodes
from pathspec import GitIgnoreSpec

from tests import shortcuts
from tests.questionnaire import ASKED, COMPUTED, CONFIG, QUESTIONS, ROOT, Answers, defaults, record

TEMPLATE = ROOT / "template"
ZONE = ("agent/", "scenarios/", "tests/", "README.md")
ANSWERS_FILE = ".copier-answers.yml"


def copiers_environment() -> Environment:
    """Jinja as Copier sets it up for this template."""
    with pytest.MonkeyPatch.context() as patch:
        shortcuts.without_git(patch, ROOT)
        environment: Environment = Worker(src_path=str(ROOT), dst_path=Path("nowhere")).jinja_env
    environment.undefined = StrictUndefined  # a misspelt name or attribute is an error here
    return environment


ENVIRONMENT = copiers_environment()


def emitted(path: Path) -> str:
    """The path in a project of a file of the template."""
    name = path.relative_to(TEMPLATE).as_posix().removesuffix(".jinja")
    return ANSWERS_FILE if "answers_file" in name else name


TEMPLATE_OF = {
    emitted(path): path
    for path in sorted(TEMPLATE.rglob("*"))
    if path.is_file() and not any(part.endswith(("__pycache__", "_cache")) for part in path.parts)
}
"""The file of the template for each file that a project may have."""
ALL_FILES = list(TEMPLATE_OF)
IN_ZONE = {name for name in ALL_FILES if name.startswith(ZONE)}

compiled = functools.cache(ENVIRONMENT.from_string)


@functools.cache
def source(name: str) -> str:
    """The text behind a file of a project, or of an include."""
    return TEMPLATE_OF.get(name, ROOT / name).read_text(encoding="utf-8")


@functools.cache
def names_in(text: str) -> frozenset[str]:
    """The names that a template reads, and those of the templates that it includes or imports from."""
    tree = ENVIRONMENT.parse(text)
    others = [node.template for node in tree.find_all(nodes.Include)]
    others += [node.template for node in tree.find_all(nodes.FromImport)]
    return frozenset(meta.find_undeclared_variables(tree)).union(*(names_in(source(file_of(node))) for node in others))


def file_of(name: nodes.Expr) -> str:
    return str(name.as_const())


def questions_behind(names: Iterable[str]) -> set[str]:
    """The questions whose answers decide the values of `names`."""
    found = ASKED.keys() & names
    for name in COMPUTED.intersection(names):
        found |= questions_behind(names_in(str(QUESTIONS[name]["default"])))
    return found


@functools.cache
def bringing(name: str) -> frozenset[str]:
    """The computed names that decide whether a project has a file: in the tables of files and in the registry."""
    tables = [ROOT / "copier" / "files.yml", ROOT / "includes" / "zone.jinja", TEMPLATE / "app" / "features.py.jinja"]
    lines = [line for table in tables for line in table.read_text(encoding="utf-8").splitlines()]
    found = [(path[1].replace(".", "/"), line) for line in lines if (path := re.search(r"'(app\.[\w.]+)'", line))]
    found += [(path[1], line) for line in lines if (path := re.match(r" +'([\w./*-]+)': ", line))]
    deciding = " ".join(line for path, line in found if name in matching(f"/{path}"))
    return names_in("{{ [" + ",".join(re.findall(r"has_\w+|needs_\w+", deciding)) + "] }}") & QUESTIONS.keys()


class Computed(dict[str, Any]):
    """Answers, and what copier.yml computes from them."""

    def __missing__(self, name: str) -> Any:
        default, kind = QUESTIONS[name]["default"], QUESTIONS[name]["type"]
        if isinstance(default, str):
            default = computed(default, kind, self.reading(default))
        self[name] = default
        return default

    def reading(self, text: str) -> dict[str, Any]:
        """The values that a text reads."""
        return {name: self[name] for name in sorted(names_in(text)) if name in QUESTIONS or name in self}


KNOWN: dict[Any, Any] = {}
WRITTEN = {id(question["default"]): repr(question["default"]) for question in QUESTIONS.values()}
"""What `repr` writes of each value in QUESTIONS and KNOWN, by its identity: some are tables."""


def written(values: Iterable[Any]) -> tuple[str, ...]:
    """The values in a form that a dict takes as a key."""
    return tuple(WRITTEN.get(id(value)) or repr(value) for value in values)


def computed(default: str, kind: str, values: dict[str, Any]) -> Any:
    key = default, written(values.values())
    if key not in KNOWN:
        text = compiled(default).render(values).strip()
        KNOWN[key] = yaml.load(text, yaml.CSafeLoader) if kind in ("bool", "int", "yaml") else text
        WRITTEN[id(KNOWN[key])] = repr(KNOWN[key])
    return KNOWN[key]


def situation(answers: Answers) -> Computed:
    """Answers as a template sees them in a project that is copied with these."""
    given = record(answers)
    return Computed(defaults(answers) | answers, _copier_answers=given, _copier_conf=Conf(given))


class Conf(dict[str, Any]):
    """What templates read of Copier's own settings."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(answers_file=ANSWERS_FILE, data=answers, defaults=True)

    def __repr__(self) -> str:
        return "_copier_conf"


@functools.cache
def matching(pattern: str) -> frozenset[str]:
    """The files that an entry of `_exclude` leaves out."""
    return frozenset(GitIgnoreSpec.from_lines([pattern]).match_files(ALL_FILES))


@functools.cache
def kept(left_out: tuple[str, ...], delivered: tuple[str, ...]) -> frozenset[str]:
    constant = [entry for entry in CONFIG["_exclude"] if "{" not in entry]
    assert IN_ZONE.issuperset(delivered)
    absent = IN_ZONE.difference(delivered).union(*map(matching, [*constant, *left_out]))
    return frozenset(ALL_FILES) - absent


def expected_files(answers: Answers) -> frozenset[str]:
    """The files that a project with these answers gets."""
    values = situation(answers)
    return kept(tuple(values["left_out"]), tuple(values["zone"]))


TEXTS: dict[Any, str] = {}


def text_of(name: str, values: Computed) -> str:
    """A file of a project: one object for the same values."""
    text = source(name)
    if TEMPLATE_OF[name].suffix != ".jinja":
        return text
    read = values.reading(text)
    key = name, written(read.values())
    if key not in TEXTS:
        TEXTS[key] = template(name).render(read)
    return TEXTS[key]


@functools.cache
def template(name: str) -> Template:
    return ENVIRONMENT.from_string(source(name))


def project(answers: Answers) -> dict[str, str]:
    """Every file of a project with these answers, by its path. `answers` are valid; the others take their defaults."""
    values = situation(answers)
    return {name: text_of(name, values) for name in kept(tuple(values["left_out"]), tuple(values["zone"]))}
