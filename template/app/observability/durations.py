"""How long turns and hops take, as histograms, and the time that segments of turns took, as a sum.

They count also what is not sampled. A sum costs a turn a tenth of what a histogram does, and there are six segments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation

import app.observability.names as names

BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60)  # seconds


class Durations:
    """Times are in nanoseconds."""

    def __init__(self, meters: MeterProvider) -> None:
        meter = meters.get_meter(names.SCOPE)
        self._turns, self._hops = (
            meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=BOUNDARIES)
            for name, description in names.DURATIONS.items()
        )
        self._segments = dict.fromkeys(product(names.CHANNELS, names.SEGMENTS), 0)
        meter.create_observable_counter(names.SEGMENT_TIME, [self._observe], "s", "Time that parts of turns took.")

    def turn(self, taken: int, segments: Mapping[str, int], channel: str, end_reason: str) -> None:
        self._turns.record(taken / 1e9, {names.CHANNEL: channel, names.END_REASON: end_reason})
        for name, part in segments.items():
            self._segments[channel, name] += part

    def _observe(self, _: CallbackOptions) -> Iterator[Observation]:
        for (channel, name), taken in self._segments.items():
            yield Observation(taken / 1e9, {names.CHANNEL: channel, names.SEGMENT: name})

    def hop(self, hop: str, taken: int, facts: Mapping[str, str]) -> None:
        self._hops.record(taken / 1e9, {names.HOP: hop, **facts})
