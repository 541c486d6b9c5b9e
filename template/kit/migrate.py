"""The command `agent migrate`."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from difflib import unified_diff
from pathlib import Path
from typing import Annotated

import typer

from kit.migrations import MIGRATIONS, zone


def migrate(
    name: Annotated[str, typer.Argument(help="The migration; without one, all are listed.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Change your files as a release asks, after showing the changes. Needs a git tree without uncommitted changes."""
    root = Path.cwd()
    files = zone(root)
    if not name:
        for each, changes_of in MIGRATIONS.items():
            typer.echo(f"{each:<20}{'to do' if changes_of(files) else 'done':<8}{changes_of.__doc__}")
        return
    if name not in MIGRATIONS:
        refuse(f"There is no migration {name}. There are {', '.join(MIGRATIONS)}.")
    changes = MIGRATIONS[name](files)
    if not changes:
        typer.echo(f"{name}: nothing to do.")
        return
    if reason := uncommitted(root) or unknown_to_git(root, changes):
        refuse(f"{reason} Nothing was changed.")
    for path, text in changes.items():
        before, after = files[path].splitlines(keepends=True), text.splitlines(keepends=True)
        typer.echo("".join(unified_diff(before, after, f"a/{path}", f"b/{path}")))
    if not yes:
        typer.confirm(f"Write {len(changes)} files?", abort=True)
    for path, text in changes.items():
        (root / path).write_bytes(text.encode())
    typer.echo("Written. Look at git diff, run ruff check --fix and pytest, and commit; git checkout . takes it back.")


def refuse(line: str) -> None:
    typer.secho(line, fg="red", err=True)
    raise typer.Exit(2)


def uncommitted(root: Path) -> str:
    """Why git could not bring every file back; empty if it can."""
    try:
        status = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "The project is not in git: git init && git add --all && git commit -m Start."
    return "There are uncommitted changes: commit or stash them first." if status.stdout.strip() else ""


def unknown_to_git(root: Path, changes: Mapping[str, str]) -> str:
    """The same for files that git ignores."""
    listed = subprocess.run(["git", "ls-files", "-z", "--", *changes], cwd=root, capture_output=True, check=True)
    ignored = sorted(set(changes) - set(listed.stdout.decode().split("\0")))
    return f"git does not know {ignored[0]}: git add -f {ignored[0]}, and commit." if ignored else ""
