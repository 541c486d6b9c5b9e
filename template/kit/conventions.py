"""Conventional modules that the folders of app/ have for the workbench.

A folder may have the modules `checks`, `resources`, `commands` and `fake`; docs/develop.md says what each holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import typer

from app.registry import RUNTIME, folders, modules
from kit.order import after_required

Script = Annotated[bool, typer.Option("--script", help="Use the script even if a model key is set.")]


def check_modules() -> list[str]:
    """The names of the modules with checks of `agent doctor`. Imports none of them."""
    return [f"{folder}.checks" for folder in folders() if find_spec(f"{folder}.checks")]


def resources() -> list[type[Any]]:
    """The classes of `agent setup`, in the order of `app/features.py`, each after the kinds that it `requires`."""
    from kit.setup.number import Number

    found = [resource for module in modules("resources") for resource in getattr(module, "RESOURCES", [])]
    found.append(Number)
    return after_required(found, lambda resource, other: other.kind in resource.requires)


def setup_channels() -> list[type[Any]]:
    """`CHANNEL` of each channel: its settings in the account."""
    return [module.CHANNEL for module in modules("resources") if hasattr(module, "CHANNEL")]


def commands() -> list[Callable[..., Any]]:
    """The commands of the folders, in the order of `agent --help`."""
    found = [each for module in modules("commands") for each in module.COMMANDS]
    found += [command(*module.COMMAND) for module in modules("fake") if hasattr(module, "COMMAND")]
    return sorted(found, key=lambda each: each.__name__)


def command(name: str, conversation: Callable[..., Coroutine[Any, Any, int]]) -> Callable[..., None]:
    """`agent call` or `agent text`; without a model key a script answers. Exits with the code of `conversation`."""

    def hold(script: bool, **parties: str) -> None:
        from app.log import configure_logging
        from kit.defaults import usable_models
        from kit.scripted_model import echo_model

        configure_logging("error")
        if missing := RUNTIME.missing_env():
            typer.echo(f"No {', '.join(missing)}: a script answers instead of {RUNTIME.model_names()[0]}.")
        if missing or script:
            code = asyncio.run(conversation([echo_model()], "a script, not a model", local=True, **parties))
        else:
            names = usable_models()
            code = asyncio.run(conversation(names, names[0], local=False, **parties))
        raise typer.Exit(code)

    def text(script: Script = False) -> None:
        hold(script)

    def call(
        script: Script = False,
        outbound: Annotated[bool, typer.Option("--outbound", help="The agent has called you.")] = False,
        voicemail: Annotated[bool, typer.Option("--voicemail", help="And an answering machine takes it.")] = False,
    ) -> None:
        direction = "outbound" if outbound or voicemail else "inbound"
        hold(script, direction=direction, answered_by="machine_end_beep" if voicemail else "human" * outbound)

    run: Callable[..., None] = call if "parties" in signature(conversation).parameters else text
    run.__name__ = name
    run.__doc__ = (
        f"{name.capitalize()} the agent in this terminal. Needs no account; with a model key the real model answers."
    )
    return run


@cache
def drivers() -> dict[str, type[Any]]:
    """The driver of each channel, by its name; the first is the default of a scenario."""
    return {module.DRIVER.channel: module.DRIVER for module in modules("fake") if hasattr(module, "DRIVER")}


@cache
def scenario_commands() -> dict[str, Callable[..., Awaitable[str]]]:
    """Commands of this project that a scenario may run for its caller: the name, and the function.

    The function gets the app and the caller's address, and returns what the command prints.
    """
    return {name: run for module in modules("fake") for name, run in getattr(module, "SCENARIO_COMMANDS", {}).items()}


@cache
def given_fields() -> dict[str, Callable[..., Awaitable[None]]]:
    """Fields that a folder adds to `given` of a scenario: the name, and the function that sets the state.

    The function gets the app, the simulated account and the value of the field. It raises ValueError for a wrong value.
    """
    return {name: make for module in modules("fake") for name, make in getattr(module, "GIVEN", {}).items()}


def build_model(script: Any) -> Any:
    """The model that plays `script` in the runtime of this project: through the provider's client if it has a fake."""
    fake = f"{RUNTIME.__module__}.fake"
    return import_module(fake).build_model(script) if find_spec(fake) else script


def scenario_files() -> list[Path]:
    """The scenarios of the folders."""
    packages = [Path(path) for folder in folders() for path in import_module(folder).__path__]
    return [path for package in packages for path in sorted(package.glob("scenarios/*.yml"))]
