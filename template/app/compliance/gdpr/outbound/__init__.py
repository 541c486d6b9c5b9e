"""What the ledger of outbound calls has of a person. An erasure destroys the key: the entries then lead to nobody."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Self

from sqlalchemy import select

from app.capability import Services
from app.compliance.gdpr.source import Item, Person, Source
from app.outbound import Outbound
from app.outbound.ledger import Entry, Ledger


class LedgerData(Source):
    name = "ledger of calls"

    def __init__(self, ledger: Ledger, own: bool) -> None:
        self.ledger = ledger
        self.own = own  # not that of a server

    @classmethod
    def build(cls, services: Services) -> Self:
        running = next((each.ledger for each in services.capabilities if isinstance(each, Outbound)), None)
        return cls(running or Ledger.build(services.settings, services.now), own=running is None)

    async def close(self) -> None:
        if self.own:
            await self.ledger.close()

    async def find(self, person: Person, found: Sequence[Item]) -> list[Item]:
        """One item with all entries. A number that is only on the do-not-call list has entries too."""
        if person.kind != "phone":
            return []
        async with self.ledger.reading() as turn:
            known = await turn.person(person.value, create=False)
            if known is None:
                return []
            wanted = select(Entry.body).where(Entry.subject == known.pseudonym).order_by(Entry.number)
            entries = [json.loads(body) for body in (await turn.connection.execute(wanted)).scalars()]
            refused = await turn.suppressed(person.value)
        data = {"entries": entries, "on the do-not-call list": refused}
        return [Item("persons in the ledger of calls", known.pseudonym, data, partial(self.ledger.erase, person.value))]
