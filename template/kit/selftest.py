"""`agent selftest`: the tests of app/, in parallel if they are many."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import typer
from packaging.requirements import Requirement

PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}
IN_PARALLEL = ["-n", "auto", "--maxprocesses", "4"]
MANY = 16  # test files; with 11 two workers are slower than one process (13 s, 12 s), with 20 faster (28 s, 45 s)
WITH_PACKAGES = ["uv", "run", "--group", "selftest"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def agent() -> None:
    """The command `agent` without the other commands, which import the app."""


@app.command(context_settings=PASSED_ON)
def selftest(context: typer.Context) -> None:
    """Run the tests of app/. Further arguments go to pytest, as in `agent selftest app/voice -x`."""
    paths = [path for each in context.args if (path := Path(each.partition("::")[0])).exists()]
    files = [file for path in paths or [Path("app")] for file in path.rglob("test_*.py")]
    options = [*(IN_PARALLEL if len(files) >= MANY else []), *([] if paths else ["app"]), *context.args]
    python = [sys.executable] if packages_installed() else [*WITH_PACKAGES, "python"]
    try:
        finished = subprocess.run([*python, "-m", "pytest", *options], check=False)
    except FileNotFoundError:
        typer.secho("The packages of the group `selftest` are missing: uv sync --group selftest", fg="red", err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(finished.returncode)


def packages_installed() -> bool:
    """Whether the packages of the group `selftest`, which app/pyproject.toml lists, are installed."""
    project = tomllib.loads(Path("app/pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(each) for each in project["optional-dependencies"]["selftest"]]
    try:
        return all(each.specifier.contains(version(each.name)) for each in wanted)
    except PackageNotFoundError:
        return False
