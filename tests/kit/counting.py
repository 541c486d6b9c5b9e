"""What an app counts, as `Services.count` gets it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from fastapi import FastAPI

from app import Session
from app.capability import Capability
from app.registry import CAPABILITIES


class Counted(list[tuple[str, ...]]):
    """Events, each with the values of its facts in the order of their names."""

    def capabilities(self, *chosen: type[Capability]) -> list[type[Capability]]:
        """`chosen`, or those of the project, and one that records what they count."""
        events = self

        class Counting(Capability):
            def observe_app(self, app: FastAPI) -> None: ...

            def observe_tokens(self, hop: str, session: Session, tokens: AsyncGenerator[str]) -> AsyncGenerator[str]:
                return tokens

            def observe_work(
                self, hop: str, session: Session, work: Coroutine[Any, Any, Any]
            ) -> Coroutine[Any, Any, Any]:
                return work

            def count(self, event: str, **facts: str) -> None:
                events.append((event, *(value for _, value in sorted(facts.items()))))

        return [*(chosen or CAPABILITIES), Counting]

    def of(self, event: str) -> list[tuple[str, ...]]:
        return [each[1:] for each in self if each[0] == event]
