"""What an app counts, as `Services.count` gets it."""

from __future__ import annotations

from typing import Any

from app.capability import Capability, Services
from app.observability import Observability
from app.registry import CAPABILITIES


class Counted(list[tuple[str, ...]]):
    """Events, each with the values of its facts in the order of their names."""

    def capabilities(self, *chosen: type[Capability]) -> list[type[Capability]]:
        """`chosen`, or those of the project, and one that records what they count."""
        events = self

        class Counting(Observability):
            @classmethod
            def build(cls, services: Services) -> Any:
                return cls(None)

            def count(self, event: str, **facts: str) -> None:
                events.append((event, *(value for _, value in sorted(facts.items()))))

        return [*(chosen or CAPABILITIES), Counting]

    def of(self, event: str) -> list[tuple[str, ...]]:
        return [each[1:] for each in self if each[0] == event]
