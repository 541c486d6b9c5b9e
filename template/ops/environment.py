"""The environment, read once. A wrong value names itself and the fix, all of them at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import SecretStr, ValidationError

from app import answers
from app.features import ProjectSettings
from app.settings import Settings


class SettingsError(Exception):
    """The environment cannot be used. `problems` holds one line per variable."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@contextmanager
def refused(*hint: str) -> Iterator[None]:
    """Exit with 2 when the environment cannot be used: a line for each problem, then the hint."""
    try:
        yield
    except SettingsError as error:
        for problem in error.problems:
            typer.secho(problem, fg="red", err=True)
        for line in hint:
            typer.echo(f"{line} Set these in .env or the environment; .env.example explains each.", err=True)
        raise typer.Exit(2) from None


def load(models_too: bool = True) -> Settings:
    """Read the environment, or raise SettingsError with every problem that it has.

    Without `models_too` it need not say how to reach the models.
    """
    problems: list[str] = []
    settings = None
    try:
        settings = ProjectSettings()
    except ValidationError as errors:
        problems = [problem(str(error["loc"][0])) for error in errors.errors()]
    if models_too:
        problems += [f"{name} is missing. {fix}" for name, fix in missing_model_keys().items()]
    if models_too and settings and not problems:
        problems = [*unknown_model("AGENT_MODEL", settings.model)]
        problems += unknown_model("AGENT_FALLBACK_MODEL", settings.fallback_model)
    if settings is None or problems:
        raise SettingsError(problems)
    return settings


def unknown_model(name: str, model: str | None) -> list[str]:
    """The problem, if pydantic-ai does not know the model or cannot reach its provider from here."""
    from pydantic_ai.exceptions import UserError
    from pydantic_ai.models import infer_model

    try:
        if model:
            infer_model(model)
    except (UserError, ValueError, ImportError) as error:
        return [f"{name} is {model!r}. {str(error).splitlines()[0]}"]
    return []


def problem(name: str) -> str:
    """One line: the variable, its value unless that is a secret, and the fix."""
    field = next(field for field in ProjectSettings.model_fields.values() if field.alias == name)
    value = os.environ.get(name)
    wrong = "missing" if not value else "malformed" if field.annotation is SecretStr else repr(value)
    return f"{name} is {wrong}. {field.description}"


def missing_model_keys() -> dict[str, str]:
    """The variables that the chosen models need and the environment lacks, each with its fix."""
    providers = {model.partition(":")[0] for model in models()}
    return {
        name: f"The {provider} models need it; see {address}."
        for provider, (names, address) in answers.MODEL_KEYS.items()
        if provider in providers
        for name in names
        if not os.environ.get(name)
    }


def models() -> list[str]:
    """The models to ask, in order, as settings or answers have them."""
    chosen = (
        os.environ.get("AGENT_MODEL") or answers.MODEL,
        os.environ.get("AGENT_FALLBACK_MODEL") or answers.FALLBACK_MODEL,
    )
    return [model for model in chosen if model]
