"""Health of the chain: a counter for each event of `names.EVENTS`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import structlog
from fastapi import FastAPI
from opentelemetry.metrics import MeterProvider

import app.observability.names as names

log = structlog.get_logger()

OTHER = "other"  # in place of a value that EVENTS does not have


class Health:
    def __init__(self, meters: MeterProvider) -> None:
        meter = meters.get_meter(names.SCOPE)
        self.counters = {
            name: meter.create_counter(event.counter, description=event.description)
            for name, event in names.EVENTS.items()
        }

    def start(self, app: FastAPI) -> None:
        """Count 0 of everything that this project may count: alerts would not see the first of a new series."""
        conversations = app.state.conversations
        features = [type(each).__module__ for each in (*conversations.channels, *conversations.capabilities)]
        for name, event in names.EVENTS.items():
            if any(f"{feature}.".startswith(f"{event.package}.") for feature in features):
                for values in product(*event.facts.values()):
                    self._add(0, name, dict(zip(event.facts, values, strict=True)))

    def count(self, name: str, facts: Mapping[str, str]) -> None:
        if name not in names.EVENTS:
            log.error("event.unknown", name=name, hint="app/observability/names.py has no such event")
            return
        allowed = names.EVENTS[name].facts
        known = {fact: value if value in allowed[fact] else OTHER for fact, value in facts.items() if fact in allowed}
        self._add(1, name, known)

    def _add(self, number: int, name: str, facts: Mapping[str, str]) -> None:
        self.counters[name].add(number, {names.FACTS[fact]: value for fact, value in facts.items()})
