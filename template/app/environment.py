"""Read the environment, and report every missing or wrong variable with its fix at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError

from app.registry import RUNTIME, START_CHECKS, ProjectSettings
from app.settings import Settings, WrongValue


class SettingsError(Exception):
    """The environment is incomplete or wrong. `problems` has one line for each variable."""

    fix = "Set these in .env or the environment; .env.example explains each."

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class ToolsError(SettingsError):
    """Tools that no model can be offered. `problems` has one line for each."""

    fix = "Correct these functions; agent doctor checks them too."


@contextmanager
def exit_on_settings_error(*hint: str) -> Iterator[None]:
    """Exit with 2 on SettingsError: print a line for each problem, then `hint`."""
    try:
        yield
    except SettingsError as error:
        for problem in error.problems:
            typer.secho(problem, fg="red", err=True)
        for line in hint:
            typer.echo(f"{line} {error.fix}", err=True)
        raise typer.Exit(2) from None


def load(require_model_keys: bool = True) -> Settings:
    """Read the environment. Raises SettingsError with every problem.

    Without `require_model_keys` the variables of the models may be missing.
    """
    problems: list[str] = []
    settings = None
    try:
        settings = ProjectSettings()
    except ValidationError as errors:
        problems = problems_in(errors)
    if require_model_keys:
        named = {line.split()[0] for line in problems}
        problems += [f"{name} is missing. {fix}" for name, fix in RUNTIME.missing_env().items() if name not in named]
    if require_model_keys and settings and not problems:
        problems = [*RUNTIME.invalid_models(settings), *(line for check in START_CHECKS for line in check(settings))]
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def problems_in(errors: ValidationError, settings: type[Settings] = ProjectSettings) -> list[str]:
    """One line for each error of `settings`."""
    problems = []
    for error in errors.errors():
        why = str(error["ctx"]["error"]) if error["type"] == "value_error" else ""
        fix = why if isinstance(error.get("ctx", {}).get("error"), WrongValue) else ""
        problems += [problem(str(error["loc"][0]), fix, settings)] if error["loc"] else why.splitlines()
    return problems


def problem(name: str, fix: str = "", settings: type[Settings] = ProjectSettings) -> str:
    """One line: the variable, its value unless that is a secret, and `fix`, or the description of its field."""
    field = next(field for field in settings.model_fields.values() if field.alias == name)
    value = os.environ.get(name)
    wrong = "missing" if not value else "malformed" if "SecretStr" in repr(field.annotation) else repr(value)
    return f"{name} is {wrong}. {fix or field.description}"
