"""Sort FEATURES into channels, capabilities, runtime, store and parts. Read prompt and tools of `agent/`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import agent
from app.agent_module import AgentModule
from app.capability import Capability, merge_settings
from app.channel import Channel
from app.features import FEATURES
from app.runtimes import Runtime
from app.store import Store

for feature in FEATURES:
    if FEATURES.count(feature) > 1:
        raise ValueError(f"app/features.py or agent/__init__.py lists {feature.__name__} twice: remove one.")

CHANNELS: list[type[Channel]] = [feature for feature in FEATURES if issubclass(feature, Channel)]
CAPABILITIES: list[type[Capability]] = [feature for feature in FEATURES if issubclass(feature, Capability)]
(RUNTIME,) = [feature for feature in FEATURES if issubclass(feature, Runtime)]
(STORE,) = [feature for feature in FEATURES if issubclass(feature, Store)]
PARTS: list[type[Any]] = [
    feature for feature in FEATURES if not issubclass(feature, Channel | Capability | Runtime | Store)
]
START_CHECKS: list[Any] = [feature.start_problems for feature in FEATURES if hasattr(feature, "start_problems")]
LOG_FILTERS: list[Any] = [feature.log_filter for feature in FEATURES if hasattr(feature, "log_filter")]
LOG_EXPORTS: list[Any] = [feature.log_export for feature in FEATURES if hasattr(feature, "log_export")]

TOOLS = AgentModule("tools", {})
ProjectSettings = merge_settings(*(feature.settings for feature in FEATURES if hasattr(feature, "settings")))


def folders() -> list[str]:
    """The packages of all features, in order; `app.memory.twilio` follows `app.memory`."""
    found: dict[str, None] = {}
    for feature in FEATURES:
        names = feature.__module__.split(".")
        found |= {".".join(names[:length]): None for length in range(2, len(names) + 1)}
    return [name for name in found if is_package(name)]


def is_package(name: str) -> bool:
    spec = find_spec(name)
    return spec is not None and spec.submodule_search_locations is not None


def modules(name: str) -> Iterator[ModuleType]:
    """Import `<folder>.<name>` for each feature folder that has it. One that cannot be imported raises."""
    for folder in folders():
        if find_spec(f"{folder}.{name}"):
            yield import_module(f"{folder}.{name}")


def load_prompt() -> str:
    """The text of `agent/prompt.md`."""
    return Path(agent.__path__[0], "prompt.md").read_text(encoding="utf-8")


def load_tools() -> list[Callable[..., Any]]:
    """Every public function that `agent/tools.py` defines."""
    functions = inspect.getmembers(TOOLS, inspect.isfunction)
    return [tool for name, tool in functions if not name.startswith("_") and tool.__module__ == "agent.tools"]
