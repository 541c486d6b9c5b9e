"""CHANGELOG.md, and what a release takes from it. Its newest heading is the version: it stands nowhere else.

python -m hooks.release prepare 0.2.0   make the entry "Unreleased" that of 0.2.0, dated today
python -m hooks.release next            print the tag that is to be made, or nothing
python -m hooks.release notes           print the newest entry

It needs the standard library alone: the workflow runs it before anything is installed.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CHANGELOG = Path(__file__).parent.parent / "CHANGELOG.md"
UNRELEASED = "Unreleased"
SECTIONS = ["What a project sees", "Questions", "Before you deploy"]
NOTHING = "- Nothing."
EMPTY = f"## {UNRELEASED}\n\n" + "\n".join(f"### {section}\n\n{NOTHING}\n" for section in SECTIONS)
HEADING = re.compile(r"(?P<version>\d+\.\d+\.\d+) - (?P<date>\d{4}-\d{2}-\d{2})")


@dataclass(frozen=True)
class Entry:
    """One `## ` heading and the text of each `### ` section below it."""

    heading: str
    sections: dict[str, str]

    @property
    def version(self) -> str:
        """As in 0.2.0; empty for what is not released yet, and for a heading that is malformed."""
        found = HEADING.fullmatch(self.heading)
        return found["version"] if found else ""

    @property
    def is_empty(self) -> bool:
        return all(body in ("", NOTHING) for body in self.sections.values())


def entries(text: str) -> list[Entry]:
    """Every entry of a changelog, as it stands there."""
    found = []
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        heading, *sections = re.split(r"^### ", part, flags=re.MULTILINE)
        titled = (section.partition("\n") for section in sections)
        found.append(Entry(heading.strip(), {title.strip(): body.strip() for title, _, body in titled}))
    return found


def numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def problems(text: str, tags: Sequence[str]) -> Iterator[str]:
    """What is wrong with a changelog, beside the tags of its repository."""
    listed = entries(text)
    released = listed[1:]
    if not listed or listed[0].heading != UNRELEASED:
        yield f"The first entry must be {UNRELEASED}."
    for entry in released:
        if not entry.version:
            yield f"{entry.heading!r} is no heading of a release: write it as in 0.2.0 - 2026-12-24."
        elif entry.is_empty:
            yield f"{entry.heading} says nothing."
    for entry in listed:
        if list(entry.sections) != SECTIONS or not all(entry.sections.values()):
            yield f"{entry.heading} needs {', '.join(SECTIONS)}, in this order and none empty: {NOTHING!r} is a text."
    versions = [entry.version for entry in released if entry.version]
    if versions != sorted(set(versions), key=numbers, reverse=True):
        yield "Every version stands once, the newest first."
    for tag in sorted({*tags} - {f"v{version}" for version in versions}):
        yield f"The tag {tag} has no entry."
    missing = [f"v{version}" for version in versions if f"v{version}" not in tags]
    is_being_made = missing == [f"v{version}" for version in versions[:1]] and listed[0].is_empty
    if missing and not is_being_made:
        yield f"No tag {', '.join(missing)} here: fetch it (git fetch --tags), or make it."


def prepared(text: str, version: str, today: datetime.date) -> str:
    """The changelog in which `version` is the newest entry. Raises ValueError."""
    listed = entries(text)
    if not HEADING.fullmatch(f"{version} - {today}"):
        raise ValueError(f"{version} is no version: write it as in 0.2.0.")
    newest = next((entry.version for entry in listed if entry.version), "")
    if newest and numbers(version) <= numbers(newest):
        raise ValueError(f"{version} does not come after {newest}.")
    if not listed or listed[0].heading != UNRELEASED or listed[0].is_empty:
        raise ValueError(f"Write down what a project sees, below {UNRELEASED}.")
    return text.replace(f"## {UNRELEASED}\n", f"{EMPTY}\n## {version} - {today}\n", 1)


def next_tag(text: str, tags: Sequence[str]) -> str:
    """The tag of the newest entry if it is not there, else nothing. Raises ValueError for a malformed changelog."""
    found = list(problems(text, tags))
    if found:
        raise ValueError("\n".join(found))
    newest = next((f"v{entry.version}" for entry in entries(text) if entry.version), "")
    return "" if newest in tags else newest


def notes(text: str) -> str:
    """The newest entry that has a version, without its heading."""
    newest = next(entry for entry in entries(text) if entry.version)
    return "\n\n".join(f"### {title}\n\n{body}" for title, body in newest.sections.items()) + "\n"


def tags_of(repository: Path) -> list[str]:
    """The release tags of a clone. Raises ValueError for a shallow one, which has only a few of them, or none."""

    def git(*command: str) -> str:
        return subprocess.run(
            ["git", *command], cwd=repository, check=True, capture_output=True, encoding="utf-8"
        ).stdout.strip()

    if git("rev-parse", "--is-shallow-repository") == "true":
        raise ValueError("This clone is shallow, so its tags are not known: git fetch --tags --unshallow.")
    return git("tag", "--list", "v[0-9]*").split()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("prepare").add_argument("version")
    commands.add_parser("next")
    commands.add_parser("notes")
    given = parser.parse_args(arguments)
    text = CHANGELOG.read_text(encoding="utf-8")
    try:
        if given.command == "prepare":
            CHANGELOG.write_text(prepared(text, given.version, datetime.date.today()), encoding="utf-8")
            print(f"CHANGELOG.md has {given.version}. Merge it into main: the workflow `release` makes the tag.")
        elif given.command == "next":
            print(next_tag(text, tags_of(CHANGELOG.parent)))
        else:
            print(notes(text), end="")
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
