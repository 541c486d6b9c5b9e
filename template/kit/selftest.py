"""`agent selftest`: the tests of app/, in parallel."""

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
WITH_PACKAGES = ["uv", "run", "--group", "selftest"]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def agent() -> None:
    """`agent` with this command alone, which needs nothing of the app."""


@app.command(context_settings=PASSED_ON)
def selftest(context: typer.Context) -> None:
    """Run the tests of app/ in parallel. Further arguments go to pytest, as in `agent selftest app/voice -x`."""
    paths = [] if any(Path(each.partition("::")[0]).exists() for each in context.args) else ["app"]
    python = [sys.executable] if packages_installed() else [*WITH_PACKAGES, "python"]
    try:
        finished = subprocess.run([*python, "-m", "pytest", *IN_PARALLEL, *paths, *context.args], check=False)
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
