"""`agent serve`, `agent scenario` and more: one entry point, nothing heavy imported before it is needed."""

from __future__ import annotations

import asyncio
import os
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from dotenv import load_dotenv

from kit.conventions import commands
from kit.doctor.command import doctor
from kit.setup.command import setup

if TYPE_CHECKING:
    from kit.scenario import Result

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def environment() -> None:
    """Read `.env` once, for every command. What is set already wins."""
    load_dotenv(Path.cwd() / ".env")
    os.environ.setdefault("TAC_ANALYTICS_DISABLED", "true")
    os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")


@app.command()
def serve() -> None:
    """Answer real people. Refuses to start, with code 2, when a setting is missing or wrong."""
    from app.environment import load, refused
    from app.serve import serve

    with refused("Nothing was started."):
        serve(load())


@app.command()
def scenario(
    files: Annotated[list[Path] | None, typer.Argument(help="Scenario files; all of scenarios/ without any.")] = None,
    model: Annotated[bool, typer.Option("--model", help="Ask the real model instead of the file's script.")] = False,
    repeat: Annotated[int, typer.Option(min=1, help="Play each so often and give rates.")] = 1,
    watch: Annotated[
        bool, typer.Option("--watch", help="Play at the speed of people and show the conversation.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML to this file.")] = None,
) -> None:
    """Play scripted conversations. Exits with 1 when one is not as expected, with 2 when a file is wrong."""
    from app.log import configure_logging
    from app.registry import RUNTIME
    from kit import scenario as scenarios
    from kit.terminal import Terminal

    configure_logging("error" if model else "critical")
    paths = files or sorted(Path("scenarios").glob("*.yml"))
    if model and (missing := RUNTIME.missing_env()):
        typer.secho(f"--model needs {', '.join(missing)}.", fg="red", err=True)
        raise typer.Exit(2)
    chosen = RUNTIME.model_names()
    terminal = Terminal()
    results: list[scenarios.Result] = []
    try:
        if not paths:
            raise scenarios.ScenarioError("scenarios/ has no .yml file. Write one, or name a file.")
        for path in paths:
            if not path.is_file():
                raise scenarios.ScenarioError(f"{path} is not a file.")
            scenarios.load(path)
        for path in (path for path in paths for _ in range(repeat)):
            if watch:
                terminal.note(f"{path}: {scenarios.load(path).description}")
            played = scenarios.play(
                path,
                models=chosen if model else None,
                pace=1.0 if watch else 1000.0,
                watch=watch,
            )
            results.append(asyncio.run(played))
            report(results[-1])
    except scenarios.ScenarioError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    if repeat > 1:
        rates(results)
    if junit:
        junit.write_text(scenarios.junit(results), encoding="utf-8")
    passed = sum(result.passed for result in results)
    typer.echo(f"{passed} of {len(results)} as expected, answered by {chosen[0] if model else 'the scripts'}.")
    raise typer.Exit(0 if passed == len(results) else 1)


def report(result: Result) -> None:
    first = f", first word {statistics.median(result.first_ms):.0f} ms" if result.first_ms else ""
    mark, color = ("ok  ", "green") if result.passed else ("FAIL", "red")
    typer.secho(f"{mark} {result.name} ({result.seconds:.2f} s{first})", fg=color)
    for failure in result.failures:
        typer.echo(f"     {failure}")


def rates(results: Sequence[Result]) -> None:
    runs = Counter(result.name for result in results)
    passed = Counter(result.name for result in results if result.passed)
    for name, count in runs.items():
        typer.echo(f"{name}: {passed[name]} of {count} ({passed[name] / count:.0%})")


for command in (doctor, *commands()):
    app.command()(command)
app.add_typer(setup, name="setup")


def main() -> None:
    app()
