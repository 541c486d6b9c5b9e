"""Find what the folders of `app/features.py` bring for the workbench: checks, resources, commands, fakes, scenarios.

A folder may have the modules `checks`, `resources`, `commands` and `fake`; docs/develop.md says what each holds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.registry import RUNTIME, folders, modules


def check_modules() -> list[str]:
    """The modules with checks of `agent doctor`, by name: nothing is imported before it is needed."""
    return [f"{folder}.checks" for folder in folders() if find_spec(f"{folder}.checks")]


def resources() -> list[type[Any]]:
    """The classes that `agent setup` puts in order, by their `order`."""
    from kit.setup.number import Number

    found = [resource for module in modules("resources") for resource in getattr(module, "RESOURCES", [])]
    return sorted([*found, Number], key=lambda resource: int(resource.order))


def setup_channels() -> list[type[Any]]:
    """How the channels are set up in the account."""
    return [module.CHANNEL for module in modules("resources") if hasattr(module, "CHANNEL")]


def commands() -> list[Callable[..., Any]]:
    """The commands of the folders, in the order of `agent --help`."""
    from kit.talk import command as conversation

    found = [command for module in modules("commands") for command in module.COMMANDS]
    found += [conversation(*module.COMMAND) for module in modules("fake") if hasattr(module, "COMMAND")]
    return sorted(found, key=lambda command: command.__name__)


def drivers() -> dict[str, type[Any]]:
    """How a scenario is played, by channel; the first is the default."""
    return {module.DRIVER.channel: module.DRIVER for module in modules("fake") if hasattr(module, "DRIVER")}


def givens() -> dict[str, Callable[..., Awaitable[None]]]:
    """What a scenario may say under `given`, beside what every scenario may: a name, and who makes it so."""
    return {name: make for module in modules("fake") for name, make in getattr(module, "GIVEN", {}).items()}


def play(script: Any) -> Any:
    """A script of `kit.scripted_model` as the runtime of this project asks it, through its real client."""
    return import_module(f"{RUNTIME.__module__}.fake").played(script)


def scenario_files() -> Iterator[Path]:
    """The scenarios of the folders, which must always go well."""
    for folder in folders():
        path = Path(str(import_module(folder).__file__)).parent / "scenarios"
        yield from sorted(path.glob("*.yml"))
