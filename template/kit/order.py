"""The order of checks and resources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def after_required(parts: Sequence[T], requires: Callable[[T, T], bool]) -> list[T]:
    """The parts in their order, each after those that it requires. `requires(a, b)` says whether `a` requires `b`."""

    def with_required(part: T) -> list[T]:
        return [*(each for other in parts if requires(part, other) for each in with_required(other)), part]

    return list(dict.fromkeys(each for part in parts for each in with_required(part)))
