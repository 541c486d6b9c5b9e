"""docs/framework.md names places that exist, or says why there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import pytest
import yaml

from tests.questionnaire import ROOT

PAGE = ROOT / "docs" / "framework.md"
SECTIONS = [
    "How somebody comes in",
    "What is asked",
    "The ladder",
    "Warnings",
    "Profiles",
    "Law",
    "Operation",
    "Rules of choice",
    "What Twilio has, and has not",
    "What the recommendation holds",
]
PLACE = re.compile(r"(?:(question|setting|doctor|advice|product|command|heading) )?`([^`]+)`")
DATE = re.compile(r"\b202\d-[01]\d-[0-3]\d\b")


class Row(NamedTuple):
    section: str
    subject: str
    places: str
    how: str


def rows() -> Iterator[Row]:
    section = ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith("| the framework |"):
            yield Row(section, *(cell.strip() for cell in line.strip("|").split(" | ")))


ROWS = list(rows())
NAMED = sorted({(kind or "file", name) for row in ROWS for kind, name in PLACE.findall(row.places)})


@cache
def read(*globs: str) -> str:
    files = sorted({path for pattern in globs for path in ROOT.glob(pattern) if path.is_file()})
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


def is_there(kind: str, name: str) -> bool:
    match kind:
        case "file":
            path = ROOT / name
            return path.is_dir() if name.endswith("/") else path.is_file()
        case "question":
            asked = yaml.safe_load(read("copier/qualify.yml")) | yaml.safe_load(read("copier/choose.yml"))
            details = (asked | yaml.safe_load(read("copier/expert.yml"))).get(name, {})
            return bool(details.get("help"))
        case "setting":
            return f'alias="{name}"' in read("template/app/**/*.py", "template/app/**/*.py.jinja")
        case "doctor":
            return re.search(rf'(check|number_check|region_check)\(\s*"{name}"', read("template/**/*.py")) is not None
        case "advice":
            return re.search(rf"^ +- id: {name}$", read("copier/advice.yml"), re.MULTILINE) is not None
        case "product":
            return name in yaml.safe_load(read("copier/products.yml"))["product_table"]["default"]
        case "heading":
            pages = read("template/*.md.jinja", "template/docs/*.md.jinja", "README.md", "docs/*.md")
            return re.search(rf"^#+ {re.escape(name)}$", pages, re.MULTILINE) is not None
        case "command":
            return is_command(name)
    raise ValueError(kind)


def is_command(name: str) -> bool:
    """`make X` is a target; `agent X`, `agent setup X` and `python -m app X` are functions of the command line."""
    if name.startswith("make "):
        return re.search(rf"^{name.removeprefix('make ')}:", read("Makefile"), re.MULTILINE) is not None
    assert name.startswith(("agent ", "python -m app ")), name
    last = name.split()[-1]
    code = read("template/kit/**/*.py", "template/app/**/commands.py", "template/app/**/fake.py")
    names = rf"^(async )?def {last.replace('-', '_')}\(|COMMAND = \(\"{last}\"|command\(\"{last}\""
    return re.search(names, code, re.MULTILINE) is not None


@pytest.mark.parametrize(("kind", "name"), NAMED, ids=lambda part: str(part).replace("/", "."))
def test_each_named_place_exists(kind: str, name: str) -> None:
    assert is_there(kind, name)


@pytest.mark.parametrize("row", ROWS, ids=[row.subject[:40] for row in ROWS])
def test_each_row_has_a_place_or_a_reason_with_a_date(row: Row) -> None:
    assert not PLACE.sub("", row.places).strip(" ,") or row.places == "nowhere"
    if row.places == "nowhere":
        assert DATE.search(row.how) and len(row.how) > 40


def test_every_part_of_the_framework_is_there() -> None:
    assert list(dict.fromkeys(row.section for row in ROWS)) == SECTIONS
    subjects = [row.subject for row in ROWS]
    assert len(set(subjects)) == len(subjects) and len(subjects) >= 90


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("file", "template/app/nothing.py"),
        ("question", "has_memory"),  # computed, not asked
        ("setting", "MEMORY_STORE_ID"),
        ("doctor", "ORC999"),
        ("advice", "nothing"),
        ("product", "nothing"),
        ("heading", "The advic"),
        ("command", "agent nothing"),
        ("command", "make nothing"),
    ],
)
def test_a_place_that_is_not_there_is_noticed(kind: str, name: str) -> None:
    assert not is_there(kind, name)
