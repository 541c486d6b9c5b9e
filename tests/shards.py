"""Several machines share a run: with `SHARD=2/4` one of them takes every fourth test, beginning with the second."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TypeVar

import pytest

T = TypeVar("T")


def share(things: Iterable[T], shard: str | None = None) -> list[T]:
    """What this machine takes of them; all of them without a shard. Raises pytest.UsageError."""
    given = os.environ.get("SHARD", "") if shard is None else shard
    number, machines = map(int, found.groups()) if (found := re.fullmatch(r"(\d+)/(\d+)", given or "1/1")) else (0, 0)
    if not 1 <= number <= machines:
        raise pytest.UsageError(f"SHARD={given}: write a shard and how many there are, as in SHARD=2/4.")
    return list(things)[number - 1 :: machines]


def share_of_tests(items: list[pytest.Item], shard: str | None = None) -> list[pytest.Item]:
    """Tests of one group stay together. Those marked `every_shard` run on each machine and share their work out."""
    groups = {item: group(item) for item in items}
    mine = set(share(dict.fromkeys(groups.values()), shard))
    return [item for item in items if groups[item] in mine or item.get_closest_marker("every_shard")]


def group(item: pytest.Item) -> str:
    marker = item.get_closest_marker("xdist_group")
    return str(marker.args[0]) if marker else item.nodeid
