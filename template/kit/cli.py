"""`agent`: the server, simulated conversations, scenarios, tests, doctor and setup in one command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from app.__main__ import environment, serve
from kit.conventions import commands
from kit.defaults import exit_on_wrong_settings
from kit.dev.command import dev
from kit.doctor.command import doctor
from kit.migrate import migrate
from kit.selftest import PASSED_ON, selftest
from kit.setup.command import setup

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


@app.callback()
def start(context: typer.Context) -> None:
    """Read `.env` for every command except `selftest`, whose results must not depend on it."""
    if context.invoked_subcommand != "selftest":
        environment()


def scenario(
    files: Annotated[list[Path] | None, typer.Argument(help="Files or folders; scenarios/ without any.")] = None,
    model: Annotated[bool, typer.Option("--model", help="Ask the real model instead of the file's script.")] = False,
    repeat: Annotated[int, typer.Option(min=1, help="Play each file this many times and print rates.")] = 1,
    watch: Annotated[
        bool, typer.Option("--watch", help="Play at the speed of people and print the conversation.")
    ] = False,
    junit: Annotated[Path | None, typer.Option(help="Write the results as JUnit XML to this file.")] = None,
) -> None:
    """Play scripted conversations. Exits with 1 when an expectation fails, with 2 when a file is wrong."""
    from app.log import configure_logging
    from app.registry import RUNTIME
    from kit import defaults, scenario_report
    from kit.scenario import Result, play
    from kit.scenario_file import ScenarioError, load
    from kit.terminal import Terminal

    configure_logging("error" if model else "critical")
    if model and (missing := RUNTIME.missing_env()):
        typer.secho(f"--model needs {', '.join(missing)}.", fg="red", err=True)
        raise typer.Exit(2)
    models = defaults.usable_models() if model else []
    terminal = Terminal()
    results: list[Result] = []
    try:
        paths = scenario_paths(files or [Path("scenarios")])
        descriptions = {path: load(path).description for path in paths}
        for path in (path for path in paths for _ in range(repeat)):
            if watch:
                terminal.note(f"{path}: {descriptions[path]}")
            run = play(path, models or None, pace=1.0 if watch else 1000.0, watch=watch)
            results.append(asyncio.run(run))
            scenario_report.print_result(results[-1])
    except ScenarioError as error:
        typer.secho(str(error), fg="red", err=True)
        raise typer.Exit(2) from None
    if repeat > 1:
        scenario_report.print_rates(results)
    if junit:
        junit.write_text(scenario_report.junit(results), encoding="utf-8")
    passed = sum(result.passed for result in results)
    typer.echo(f"{passed} of {len(results)} as expected, answered by {models[0] if model else 'the scripts'}.")
    if not files:
        typer.echo("The scenarios of the server: agent scenario app")
    raise typer.Exit(0 if passed == len(results) else 1)


def scenario_paths(files: list[Path]) -> list[Path]:
    """The files; of a folder its .yml files and those of every folder `scenarios` below it. Raises ScenarioError."""
    from kit.scenario_file import ScenarioError

    paths = []
    for path in files:
        found = sorted({*path.glob("*.yml"), *path.rglob("scenarios/*.yml")})
        if not (path.is_file() or found):
            raise ScenarioError(f"{path}/ has no scenario." if path.is_dir() else f"{path} is not a file.")
        paths += found or [path]
    return paths


def explained(command: Callable[..., None]) -> Callable[..., None]:
    """The command, which ends with 2 and a line for each wrong setting instead of with a traceback."""

    @wraps(command)
    def run(*given: Any, **options: Any) -> None:
        with exit_on_wrong_settings():
            command(*given, **options)

    return run


app.command(context_settings=PASSED_ON)(selftest)
for command in (serve, dev, scenario, doctor, migrate, *commands()):
    app.command()(explained(command))
app.add_typer(setup, name="setup")
