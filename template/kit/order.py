"""The order of checks and resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def after_required(parts: Sequence[T], requires: Callable[[T, T], bool]) -> list[T]:
    """The parts in their order, each after those that it requires. `requires(a, b)` says whether `a` requires `b`."""
    ordered: list[T] = []

    def place(part: T) -> None:
        for required in parts:
            if requires(part, required) and required not in ordered:
                place(required)
        if part not in ordered:
            ordered.append(part)

    for part in parts:
        place(part)
    return ordered
