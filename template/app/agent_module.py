"""A module of `agent/` with defaults: the file is the user's, and may be older than `app/` or lack a name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, ClassVar


class AgentModule:
    """The names of `agent/<name>.py`, and `defaults` for those that it lacks, or for all if there is no such file.

    `renamed` has old names, which still count, by the new ones: `agent doctor` reports them.
    """

    every: ClassVar[list[AgentModule]] = []

    def __init__(self, name: str, defaults: Mapping[str, Any], renamed: Mapping[str, str] | None = None) -> None:
        self.file, self._defaults, self.renamed = f"agent/{name}.py", defaults, renamed or {}
        self.own = import_module(f"agent.{name}") if find_spec(f"agent.{name}") else object()
        self.every.append(self)

    def __getattr__(self, name: str) -> Any:
        for own in (name, self.renamed.get(name, name)):
            if hasattr(self.own, own):
                return getattr(self.own, own)
        if name not in self._defaults:
            raise AttributeError(f"{self.file} has no {name}", name=name, obj=self)
        return self._defaults[name]

    def __dir__(self) -> list[str]:
        return sorted({*dir(self.own), *self._defaults})
