"""Signals whose reaction failed, in the file of AGENT_FAILED_SIGNALS on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Self

from app.capability import Services
from app.compliance.gdpr.sessions import ids_of
from app.compliance.gdpr.source import Item, Person, Source
from app.intelligence.reactions import FailedSignals


class FailedSignalData(Source):
    name = "failed signals"

    def __init__(self, file: FailedSignals) -> None:
        self.file = file

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls(FailedSignals(services.settings.failed_signals))

    async def find(self, person: Person, found: Sequence[Item]) -> list[Item]:
        ids = ids_of(found)
        return [
            Item("failed signals", line["at"], line, partial(asyncio.to_thread, self.file.remove, line))
            for line in await asyncio.to_thread(self.file.lines)
            if line["session"]["id"] in ids or person.has(str(line["session"].get("caller")))
        ]
