"""The pages of a project: what they name is there, and their commands are those of its programs.

A fenced `sh` block is a command block; tests/readme.py runs those that are not marked.
"""

from __future__ import annotations

import fnmatch
import functools
import posixpath
import re
from collections.abc import Iterator, Mapping

FOLDERS = "agent|agent_runtime|app|deploy|docs|infra|kit|lambda_proxy|observability|scenarios|tests"
PATH = re.compile(rf"(?<![\w/.-])(?:{FOLDERS})/[\w./*-]*")
CODE = re.compile(r"^ *```sh\n(?P<block>.*?)^ *```$|(?<!`)`(?P<span>[^`\n]+)`(?!`)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([\w./-]+)(?:#[\w-]*)?\)")
VARIABLE = re.compile(r"\b(?:AGENT|AWS|AZURE|BEDROCK|DATABASE|FOUNDRY|OTEL|PUBLIC|REDIS|TWILIO)_[A-Z0-9_]*[A-Z0-9]\b")
SET = re.compile(r'"name": "([A-Z_]+)"')  # by the page itself, in what it sends
FINDING = re.compile(r"\b[A-Z]{3}0\d\d\b")
ROUTE = re.compile(r"(?:PUBLIC_URL|DOMAIN|\$URL|your-address|=…|GET|POST)(?:` and `| )?(/[a-z][\w/-]*)")
STRING = re.compile(r'"([A-Z]{3}0\d\d|/[a-z][\w/-]*)')
COMMAND = re.compile(r"(?:uv run |(?<![\w/.-]))(agent|python -m app) ([a-z][^|>#;&)\n]*)")

# Runs in a project, with commands as JSON: prints those that its programs do not know, and those with unknown options.
UNKNOWN = """
import json, shlex, sys
from typer.testing import CliRunner
from app.__main__ import app as server
from kit.cli import app as agent
for program, arguments in json.loads(sys.argv[1]):
    result = CliRunner().invoke({"agent": agent}.get(program, server), [*shlex.split(arguments), "--help"])
    if result.exit_code:
        print(program, arguments, result.output or repr(result.exception))
"""


def pages(files: Mapping[str, str]) -> dict[str, str]:
    """The pages that people read, by path. `kit/` has none."""
    return {name: text for name, text in files.items() if name.endswith(".md") and not name.startswith("kit/")}


def faults(files: Mapping[str, str]) -> list[str]:
    """What the pages name and the project does not have: files, pages, variables, codes of the doctor, routes."""
    there = {*files, *(folder for name in files for folder in parents(name))}
    other = {name: text for name, text in files.items() if not name.endswith(".md")}
    variables = frozenset[str]().union(*(variables_in(text) for text in other.values()))
    strings = frozenset[str]().union(*(strings_in(text) for name, text in other.items() if not name.startswith("kit/")))
    strings |= {code for name, text in other.items() if name.startswith("kit/doctor/") for code in strings_in(text)}
    found: list[str] = []
    for page, text in pages(files).items():
        here = posixpath.dirname(page)
        for path in PATH.findall("\n".join(code(text))):
            wanted = {posixpath.join(place, path.rstrip("./")) for place in ("", here)}
            if not (wanted & there or "*" in path and any(fnmatch.filter(there, pattern) for pattern in wanted)):
                found.append(f"{page}: there is no {path}")
        for link in LINK.findall(text):
            if posixpath.normpath(posixpath.join(here, link)) not in files:
                found.append(f"{page}: the link to {link} leads nowhere")
        unread = variables_in(text) - variables - set(SET.findall(text))
        found += [f"{page}: nothing reads {name}" for name in unread]
        found += [f"{page}: no check has the code {name}" for name in FINDING.findall(text) if name not in strings]
        found += [f"{page}: there is no route {route}" for route in ROUTE.findall(text) if route not in strings]
    return sorted(set(found))


@functools.cache
def variables_in(text: str) -> frozenset[str]:
    return frozenset(VARIABLE.findall(text))


@functools.cache
def strings_in(text: str) -> frozenset[str]:
    """Codes of findings and paths of routes, as they stand in Python."""
    return frozenset(STRING.findall(text))


def parents(name: str) -> Iterator[str]:
    while name := posixpath.dirname(name):
        yield name


@functools.cache
def code(text: str) -> list[str]:
    """The command blocks of a page, and what stands in backticks."""
    return [found["block"] or found["span"] for found in CODE.finditer(text)]


def commands(text: str) -> set[tuple[str, str]]:
    """What a page says to type, as a program of the project and its arguments."""
    lines = [line for part in code(text) for line in part.splitlines() if "\n" not in part or "uv run agent " in line]
    return {(program, given.strip()) for line in lines for program, given in COMMAND.findall(line)}
