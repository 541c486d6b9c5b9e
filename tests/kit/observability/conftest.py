"""Fixtures of the tests of observability."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kit.observability.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that has received nothing."""
    with collecting() as started:
        yield started
