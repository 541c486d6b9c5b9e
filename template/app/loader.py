"""Load what `agent/` defines: prompt, tools, capabilities."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import agent
from agent import tools


def load_prompt() -> str:
    """The text of `agent/prompt.md`."""
    return Path(str(agent.__file__)).with_name("prompt.md").read_text(encoding="utf-8")


def load_tools() -> list[Callable[..., Any]]:
    """Every public function that `agent/tools.py` defines."""
    functions = inspect.getmembers(tools, inspect.isfunction)
    return [tool for name, tool in functions if not name.startswith("_") and tool.__module__ == tools.__name__]
