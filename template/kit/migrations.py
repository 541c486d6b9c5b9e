"""What a release asks of files that are yours: one function for each, run by `agent migrate`.

Nothing of `app/` is imported, as a migration may be what lets it be imported again.
"""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

ZONE = ("agent", "scenarios", "tests")
Texts = Mapping[str, str]  # files by their path from the project's root, with `/`


def zone(root: Path) -> dict[str, str]:
    """The texts of the user's files. A link, a cache and a file that is no UTF-8 are left out."""
    found = {}
    for path in sorted(path for folder in ZONE for path in (root / folder).rglob("*.*")):
        if path.suffix in (".md", ".py", ".yml") and path.is_file() and not path.is_symlink():
            try:
                found[path.relative_to(root).as_posix()] = path.read_bytes().decode()
            except UnicodeDecodeError:
                continue
    return found


# Old key of an expectation in a scenario, which still works, and the one that stays.
RENAMED_KEYS = {"told": "instructions_contain", "not_told": "instructions_lack"}


def scenario_keys(files: Texts) -> dict[str, str]:
    """Scenarios have the keys that stay: instructions_contain for told, instructions_lack for not_told."""
    texts = {path: with_keys(text, RENAMED_KEYS) for path, text in files.items() if path.startswith("scenarios/")}
    return {path: text for path, text in texts.items() if text != files[path]}


def with_keys(text: str, renamed: Mapping[str, str]) -> str:
    """A scenario with the keys of its `expect` renamed; one that stands beside its new name stays."""
    try:
        turns = field(yaml.compose(text, Loader=yaml.SafeLoader), "turns")
    except yaml.YAMLError:
        return text
    places = {}  # of a key: its end, and the new name
    for turn in turns.value if isinstance(turns, yaml.SequenceNode) else []:
        expect = field(turn, "expect")
        keys = [key for key, _ in expect.value] if isinstance(expect, yaml.MappingNode) else []
        names = [key.value for key in keys]
        for key in [key for key in keys if isinstance(key, yaml.ScalarNode) and key.value in renamed]:
            if (new := renamed[key.value]) not in names:
                places[key.start_mark.index] = (key.end_mark.index, new)
    for start, (end, new) in sorted(places.items(), reverse=True):
        text = text[:start] + new + text[end:]
    return text


def field(node: yaml.Node | None, name: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return next((value for key, value in pairs if key.value == name), None)


# Old place of a name, which still works, and the place that stays.
MOVED = {
    "app.session.Session": "app.Session",
    "app.session.this_session": "app.this_session",
    "kit.plugin.Begin": "kit.testing.Begin",
    "kit.plugin.Reach": "kit.testing.Reach",
    "kit.plugin.Talk": "kit.testing.Talk",
    "kit.scenario.play": "kit.testing.play",
    "kit.voice_fixtures.Dial": "kit.testing.Dial",
}


def imports(files: Texts) -> dict[str, str]:
    """Imports take names from the places that stay, as in from app import Session."""
    texts = {path: with_imports(text, MOVED) for path, text in files.items() if path.endswith(".py")}
    return {path: text for path, text in texts.items() if text != files[path]}


def with_imports(text: str, moved: Mapping[str, str]) -> str:
    """Python with its `from` imports of moved names rewritten. One with a comment between its names stays."""
    try:
        statements = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and not node.level]
    except (SyntaxError, ValueError):
        return text
    lines = list(io.StringIO(text, newline=""))
    for node in sorted(statements, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before = lines[first].encode()[: node.col_offset].decode()
        after = lines[last].encode()[node.end_col_offset :].decode()
        body = "".join(lines[first : last + 1])[len(before) :].removesuffix(after)
        if any(f"{node.module}.{name.name}" in moved for name in node.names) and "#" not in body:
            line = ("\r\n" if lines[first].endswith("\r\n") else "\n") + before
            lines[first : last + 1] = [before + ("; " if before.strip() else line).join(rewritten(node, moved)) + after]
    return "".join(lines)


def rewritten(node: ast.ImportFrom, moved: Mapping[str, str]) -> Iterator[str]:
    """The statements that import the same names, under the names that the file knows."""
    modules: dict[str, list[str]] = {}
    for name in node.names:
        module, _, new = moved.get(old := f"{node.module}.{name.name}", old).rpartition(".")
        known = name.asname or name.name
        modules.setdefault(module, []).append(new if new == known else f"{new} as {known}")
    for module, names in modules.items():
        yield f"from {module} import {', '.join(names)}"


# By name. Each takes the files of the zone and gives those that change, with their new text: none once it has run.
MIGRATIONS = {"imports": imports, "scenario-keys": scenario_keys}
