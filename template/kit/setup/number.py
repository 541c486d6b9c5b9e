"""The phone number. It must be there already: setup buys nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from kit import conventions
from kit.setup.api import Record, SetupError
from kit.setup.channel import Way
from kit.setup.plan import Check, Resource, Setup, Step, shown


class Number(Resource):
    order = 30
    kind = "number"
    variable = "TWILIO_PHONE_NUMBER"
    flag = "number"

    def __init__(self, setup: Setup, key: str = "") -> None:
        super().__init__(setup, key)
        self.url = f"https://api.twilio.com/2010-04-01/Accounts/{setup.settings.account_sid}/IncomingPhoneNumbers"
        self.ways = ways()
        self.one_way = tuple(note for way in self.ways for note in way.one_way)

    def value(self, record: Record) -> str:
        return str(record["phone_number"])

    async def fetch(self, id: str) -> Record | None:
        """By SID or by number."""
        if id.startswith("PN"):
            return await self.api.find(f"{self.url}/{id}.json")
        return next((each for each in await self._all() if each["phone_number"] == id), None)

    async def search(self) -> Record | None:
        found = await self._all()
        if not found:
            raise SetupError("The account has no phone number. Buy one in the Twilio Console: setup buys nothing.")
        if named := self.setup.value(self.variable):
            raise SetupError(f"{self.variable} is {named}, which the account does not have. Correct it or empty it.", 2)
        chosen = await self.setup.choices.take(
            "number", [(each["phone_number"], each["phone_number"]) for each in found]
        )
        return next((each for each in found if each["phone_number"] == chosen), None)

    async def _all(self) -> list[Record]:
        return await self.api.all(f"{self.url}.json", "incoming_phone_numbers")

    async def wanted(self, existing: Record | None) -> Record:
        return {name: value for way in self.ways for name, value in way.number(self.setup).items()}

    async def change(self, id: str, fields: Record) -> str:
        form = {"".join(part.title() for part in name.split("_")): value or "" for name, value in fields.items()}
        await self.api.form(f"{self.url}/{id}.json", form)
        return id

    def notes(self, step: Step) -> Sequence[str]:
        """Whoever answers this number now will not do so any more."""
        now: Any = next((each.before for each in step.changes if each.field == "voice_url"), "")
        if not now or "demo.twilio.com" in now:
            return ()
        return (f"Calls go to {shown(now)} now. undo gives them back.",)

    async def checks(self, record: Record) -> AsyncIterator[Check]:
        for way in self.ways:
            async for check in way.checks(self.setup):
                yield check


def ways() -> list[Way]:
    return [channel() for channel in conventions.setup_channels()]


async def chosen(setup: Setup) -> str:
    """The number, before its turn: a configuration needs it for its rules."""
    if "number" not in setup.records:
        number = Number(setup)
        number.know(await number.read())
    return str(setup.records["number"]["phone_number"])
