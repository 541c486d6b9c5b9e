"""Edits that a team makes in its project, drawn at random. No edit looks at what the template does with a file.

- 45 % in the zone (`agent/`, `scenarios/`, `tests/`): lines inserted, altered or deleted anywhere; files added,
  deleted, moved.
- 40 % in files that the template and the team share. Of 100 such edits: 29 in pyproject.toml (packages as `uv add`
  inserts them, tool sections, metadata, lint rules), 20 in .env.example (variables: a third at the end, a third
  between two paragraphs, a third before any line; other values), 15 in README.md (paragraphs), 10 in the Dockerfile
  (instructions at any place; a word of any line), 10 in CI (steps, jobs), 7 in AGENTS.md (paragraphs, rows, lines), 9
  in .gitignore and .dockerignore (lines anywhere).
- 15 % in machinery: a line inserted or altered in any file of `app/` or `docs/`.

A draw takes one random number: a file that the template changes moves a place, and does not redraw everything else.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
Edit = Callable[["Draw", Path], None]

ZONE = ("agent", "scenarios", "tests")
PACKAGES = [
    *["aiofiles", "beautifulsoup4", "cachetools", "dateparser", "email-validator", "googlemaps", "icalendar"],
    *["jinja2", "langdetect", "markdown", "numpy", "openpyxl", "phonenumbers", "requests", "simple-salesforce"],
    *["stripe", "tenacity", "tzdata", "unidecode", "xmltodict", "zeep"],
]
TOOLS = ["faker", "freezegun", "hypothesis", "pre-commit", "pytest-cov", "respx", "syrupy", "types-requests", "vulture"]
NAMES = ["billing", "bookings", "crm", "delivery", "invoices", "opening_hours", "orders", "prices", "refunds", "stock"]
REMARKS = {
    ".py": "# Agreed with the support team, {number}.",
    ".md": "See page {number} of our handbook.",
    ".yml": "# Case {number} of the support team.",
    ".toml": "# Ours, {number}.",
    ".jsonl": "",
}


class Draw:
    """Random choices of one project. Equal arguments give equal choices."""

    def __init__(self, *seed: object) -> None:
        self.random = random.Random("-".join(map(str, seed)))

    def one(self, values: Sequence[T]) -> T:
        return values[self.below(len(values))]

    def below(self, end: int) -> int:
        return int(self.random.random() * end)

    def weighted(self, shares: Sequence[tuple[int, T]]) -> T:
        rest = self.random.random() * sum(share for share, _ in shares)
        for share, value in shares:
            rest -= share
            if rest < 0:
                return value
        return shares[-1][1]


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def write(path: Path, text: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")


def insert(path: Path, at: int, *new: str) -> None:
    text = lines(path)
    write(path, text[:at] + list(new) + text[at:])


def in_folders(project: Path, *folders: str) -> list[Path]:
    """The files of some folders, those without a line left out."""
    found = sorted(path for folder in folders for path in (project / folder).rglob("*") if path.is_file())
    return [path for path in found if lines(path)]


def anywhere(draw: Draw, path: Path) -> int:
    return draw.below(len(lines(path)) + 1)


def between_paragraphs(draw: Draw, path: Path) -> int:
    """A place after an empty line, or the end."""
    text = lines(path)
    return draw.one([number for number, line in enumerate(text, 1) if not line] + [len(text)])


def indent(text: list[str], at: int) -> str:
    """The indentation of the line that `at` stands before, or of the one above."""
    for line in [*text[at:], *reversed(text[:at])]:
        if line.strip():
            return line[: len(line) - len(line.lstrip())]
    return ""


def insert_lines(draw: Draw, path: Path) -> None:
    at = anywhere(draw, path)
    space = indent(lines(path), at)
    remark = REMARKS[path.suffix].format(number=draw.below(1000))
    insert(path, at, *[f"{space}{remark}"] * (1 + draw.below(3)))


def alter_line(draw: Draw, path: Path) -> None:
    """Put another word into a line."""
    text = lines(path)
    at = draw.one([number for number, line in enumerate(text) if line.strip()])
    words = list(re.finditer(r"\w+", text[at])) or list(re.finditer(r"\S+", text[at]))
    word = draw.one(words)
    text[at] = f"{text[at][: word.start()]}other{draw.below(100)}{text[at][word.end() :]}"
    write(path, text)


def delete_lines(draw: Draw, path: Path) -> None:
    text = lines(path)
    at, count = draw.below(len(text)), 1 + draw.below(3)
    write(path, text[:at] + text[at + count :])


# --- The zone ---------------------------------------------------------------------------------------


def in_zone(change: Edit) -> Edit:
    def edit(draw: Draw, project: Path) -> None:
        if found := in_folders(project, *ZONE):
            change(draw, draw.one(found))

    return edit


def add_zone_file(draw: Draw, project: Path) -> None:
    name, number = draw.one(NAMES), draw.below(100)
    files = {
        f"agent/{name}_{number}.py": ['"""What we know of it."""', "", "KNOWN: dict[str, str] = {}"],
        f"tests/test_{name}_{number}.py": ["def test_it() -> None:", "    assert True"],
        f"scenarios/{name}-{number}.yml": [f"description: A question about {name}.", "turns: []"],
    }
    path = draw.one(list(files))
    write(project / path, files[path])


def delete_zone_file(draw: Draw, path: Path) -> None:
    path.unlink()


def move_zone_file(draw: Draw, path: Path) -> None:
    path.rename(path.with_name(f"our_{draw.below(1000)}_{path.name}"))


# --- Files that the template and the team share ------------------------------------------------------


def uv_add(text: list[str], list_name: str, requirement: str) -> list[str]:
    """`uv add`: in its place if the list is sorted, else at its end. tests/test_conflicts.py compares it with uv."""
    start = text.index(f"{list_name} = [") + 1
    end = text.index("]", start)
    values = [line.strip(' ",') for line in text[start:end]]
    at = (
        sum(value.lower() < requirement.lower() for value in values)
        if values == sorted(values, key=str.lower)
        else len(values)
    )
    return [*text[: start + at], f'    "{requirement}",', *text[start + at :]]


def add_package(draw: Draw, project: Path) -> None:
    path = project / "pyproject.toml"
    write(path, uv_add(lines(path), "dependencies", f"{draw.one(PACKAGES)}>={draw.below(30)}.{draw.below(30)}"))


def add_tool(draw: Draw, project: Path) -> None:
    path = project / "pyproject.toml"
    write(path, uv_add(lines(path), "dev", f"{draw.one(TOOLS)}>={draw.below(30)}.{draw.below(30)}"))


def add_section(draw: Draw, project: Path) -> None:
    """A `[tool.…]` between two sections, or at the end."""
    name = draw.one(["coverage.run", "pyright", "bandit", "vulture", "commitizen", "codespell", "deptry", "towncrier"])
    path = project / "pyproject.toml"
    text = lines(path)
    at = draw.one([number for number, line in enumerate(text) if line.startswith("[")] + [len(text)])
    section = [f"[tool.{name}_{draw.below(100)}]", "enabled = true"]
    insert(path, at, *(section + [""] if at < len(text) else ["", *section]))


def set_metadata(draw: Draw, project: Path) -> None:
    """A new version, an author, a licence: a line after one that [project] has."""
    path = project / "pyproject.toml"
    text = lines(path)
    if draw.below(2):
        at = next(number for number, line in enumerate(text) if line.startswith("version = "))
        text[at] = f'version = "{draw.below(5)}.{draw.below(20)}.{draw.below(20)}"'
    else:
        ends = [text.index("dependencies = [")]
        at = draw.one([number for number in range(1, ends[0]) if re.match(r'[\w-]+ = .*["\]]$', text[number])]) + 1
        text.insert(
            at, draw.one(['authors = [{ name = "Ada" }]', 'license = "LicenseRef-Ours"', 'keywords = ["phone"]'])
        )
    write(path, text)


def set_ruff_or_mypy(draw: Draw, project: Path) -> None:
    """A rule more for ruff, a package that mypy finds no types of."""
    path = project / "pyproject.toml"
    text = lines(path)
    if draw.below(2):
        at = next(number for number, line in enumerate(text) if line.startswith("select = ["))
        text[at] = text[at].replace('"]', f'", "{draw.one(["C4", "N", "PT", "RET", "RUF"])}"]')
    else:
        start = text.index("module = [") + 1
        text.insert(start + draw.below(text.index("]", start) - start + 1), f'    "{draw.one(NAMES)}.*",')
    write(path, text)


def add_variable(draw: Draw, project: Path) -> None:
    """A variable with its comment: a third at the end, a third between two paragraphs, a third anywhere."""
    path = project / ".env.example"
    at = draw.one([len(lines(path)), between_paragraphs(draw, path), anywhere(draw, path)])
    name = draw.one(NAMES).upper()
    variable = [f"# From the console of our {name.lower()} system.", f"{name}_{draw.below(100)}_KEY="]
    insert(path, at, *variable, *draw.one([[], [""]]))


def set_variable(draw: Draw, project: Path) -> None:
    """Another default in .env.example."""
    path = project / ".env.example"
    text = lines(path)
    at = draw.one([number for number, line in enumerate(text) if re.match(r"(# )?[A-Z_0-9]+=", line)])
    name, _, _ = text[at].partition("=")
    text[at] = f"{name.removeprefix('# ')}=ours-{draw.below(100)}"
    write(path, text)


def add_readme_paragraph(draw: Draw, project: Path) -> None:
    insert(
        project / "README.md",
        between_paragraphs(draw, project / "README.md"),
        f"Ask team {draw.below(100)} for access.",
        "",
    )


def add_dockerfile_line(draw: Draw, project: Path) -> None:
    """An instruction between two others; comments stay with the instruction below them."""
    path = project / "Dockerfile"
    text = lines(path)
    places = [
        number
        for number, line in enumerate([*text, ""])
        if number
        and not line.startswith(" ")
        and not text[number - 1].startswith("#")
        and not text[number - 1].endswith("\\")
    ]
    instruction = draw.one(
        [
            "RUN apt-get update && apt-get install --yes --no-install-recommends ffmpeg && rm -rf /var/lib/apt/lists/*",
            "ENV TZ=Europe/Berlin",
            "ARG REVISION=unknown",
            "LABEL team=support",
            "COPY certificates/ /usr/local/share/ca-certificates/",
        ]
    )
    insert(path, draw.one(places), instruction)


def alter_dockerfile(draw: Draw, project: Path) -> None:
    """Another base image, port, user or time limit: a word of any instruction."""
    alter_line(draw, project / "Dockerfile")


def add_step(draw: Draw, project: Path) -> None:
    path = project / ".github" / "workflows" / "ci.yml"
    text = lines(path)
    steps = [number for number, line in enumerate(text) if line.startswith("      - ")]
    insert(path, draw.one(steps) + draw.below(2), f"      - run: make check-{draw.below(100)}")


def add_job(draw: Draw, project: Path) -> None:
    """A job before another, or at the end."""
    path = project / ".github" / "workflows" / "ci.yml"
    text = lines(path)
    jobs = [number for number, line in enumerate(text) if re.match(r"  \w+:$", line) and number > text.index("jobs:")]
    at = draw.one([*jobs, len(text)])
    job = [f"  audit_{draw.below(100)}:", "    runs-on: ubuntu-latest", "    steps:", "      - run: make audit"]
    insert(path, at, *(["", *job] if at == len(text) else [*job, ""]))


def add_rule_for_agents(draw: Draw, project: Path) -> None:
    """A paragraph, a row of the table, or a sentence below another."""
    path = project / "AGENTS.md"
    text = lines(path)
    rows = [number for number, line in enumerate(text, 1) if line.startswith("| ")][1:]
    new, at = draw.one(
        [
            (["Never quote a price.", ""], between_paragraphs(draw, path)),
            ([f"| {draw.one(NAMES)} | `agent/ours.py` |"], draw.one(rows)),
            (["Write to the support team first."], anywhere(draw, path)),
        ]
    )
    insert(path, at, *new)


def ignore_for(name: str) -> Edit:
    def ignore(draw: Draw, project: Path) -> None:
        insert(project / name, anywhere(draw, project / name), f"{draw.one(NAMES)}-{draw.below(100)}/")

    return ignore


# --- Machinery ------------------------------------------------------------------------------------


def in_machinery(change: Edit) -> Edit:
    def edit(draw: Draw, project: Path) -> None:
        change(draw, draw.one([path for path in in_folders(project, "app", "docs") if path.suffix in REMARKS]))

    return edit


# --- Shares -----------------------------------------------------------------------------------------

ZONE_EDITS: list[tuple[int, Edit]] = [
    (35, in_zone(insert_lines)),
    (25, in_zone(alter_line)),
    (10, in_zone(delete_lines)),
    (15, add_zone_file),
    (7, in_zone(delete_zone_file)),
    (8, in_zone(move_zone_file)),
]
SHARED_EDITS: list[tuple[int, Edit]] = [
    (12, add_package),
    (5, add_tool),
    (4, add_section),
    (4, set_metadata),
    (4, set_ruff_or_mypy),
    (14, add_variable),
    (6, set_variable),
    (15, add_readme_paragraph),
    (7, add_dockerfile_line),
    (3, alter_dockerfile),
    (7, add_step),
    (3, add_job),
    (7, add_rule_for_agents),
    (6, ignore_for(".gitignore")),
    (3, ignore_for(".dockerignore")),
]
MACHINERY_EDITS: list[tuple[int, Edit]] = [(50, in_machinery(insert_lines)), (50, in_machinery(alter_line))]


def edit(draw: Draw, project: Path, count: int) -> None:
    """Make `count` edits, by their shares."""
    for _ in range(count):
        draw.weighted(draw.weighted([(45, ZONE_EDITS), (40, SHARED_EDITS), (15, MACHINERY_EDITS)]))(draw, project)
