"""How long turns, their segments and their hops take, as histograms. They count also what is not sampled."""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.metrics import MeterProvider

import app.observability.names as names

BOUNDARIES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60)  # seconds


class Durations:
    """Times are in nanoseconds."""

    def __init__(self, meters: MeterProvider) -> None:
        meter = meters.get_meter(names.SCOPE)
        self._turns, self._segments, self._hops = (
            meter.create_histogram(name, "s", description, explicit_bucket_boundaries_advisory=BOUNDARIES)
            for name, description in names.DURATIONS.items()
        )

    def turn(self, taken: int, segments: Mapping[str, int], channel: str, end_reason: str) -> None:
        self._turns.record(taken / 1e9, {names.CHANNEL: channel, names.END_REASON: end_reason})
        for name, part in segments.items():
            if part:
                self._segments.record(part / 1e9, {names.CHANNEL: channel, names.SEGMENT: name})

    def hop(self, hop: str, taken: int, facts: Mapping[str, str]) -> None:
        self._hops.record(taken / 1e9, {names.HOP: hop, **facts})
