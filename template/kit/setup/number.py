"""The phone number, which setup does not buy. Its fields come from the channels: `CHANNEL` of their `resources.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from kit import conventions
from kit.setup.api import Record, SetupError
from kit.setup.resource import Proof, Resource, SetupContext, Step, no_proofs, without_passwords


class ChannelSetup:
    """Settings of a channel (voice, messaging) in the phone number and the conversation configuration."""

    one_way: Sequence[str] = ()

    def number_fields(self, setup: SetupContext) -> Record:
        """Fields of the phone number, as in IncomingPhoneNumber."""
        return {}

    def channel_settings(self, setup: SetupContext, number: str) -> dict[str, Record]:
        """`channelSettings` of a new conversation configuration."""
        return {}

    def merge_channel(self, existing: Record, wanted: Record) -> Record:
        """The settings of a channel that the configuration already has, with those that are wanted."""
        return existing

    def status_callbacks(self, setup: SetupContext) -> Sequence[str]:
        """URLs for status callbacks of Conversation Orchestrator."""
        return ()

    def proofs(self, setup: SetupContext) -> AsyncIterator[Proof]:
        """Proofs of `verify`."""
        return no_proofs()


class Number(Resource):
    kind = "number"
    variable = "TWILIO_PHONE_NUMBER"
    flag = "number"

    def __init__(self, setup: SetupContext, key: str = "") -> None:
        super().__init__(setup, key)
        self.url = f"https://api.twilio.com/2010-04-01/Accounts/{setup.settings.account_sid}/IncomingPhoneNumbers"
        self.channels = channel_setups()
        self.one_way = tuple(note for channel in self.channels for note in channel.one_way)

    def value(self, record: Record) -> str:
        return str(record["phone_number"])

    async def fetch(self, id: str) -> Record | None:
        """The phone number with this SID, or this number in E.164."""
        if id.startswith("PN"):
            return await self.api.find(f"{self.url}/{id}.json")
        return next((each for each in await self._list() if each["phone_number"] == id), None)

    async def search(self) -> Record | None:
        found = await self._list()
        if not found:
            raise SetupError("The account has no phone number. Buy one in the Twilio Console: setup buys nothing.")
        if named := self.setup.value(self.variable):
            raise SetupError(f"{self.variable} is {named}, which the account does not have. Correct it or empty it.", 2)
        chosen = await self.setup.choices.choose(
            "number", [(each["phone_number"], each["phone_number"]) for each in found]
        )
        return next((each for each in found if each["phone_number"] == chosen), None)

    async def _list(self) -> list[Record]:
        return await self.api.list_all(f"{self.url}.json", "incoming_phone_numbers")

    async def wanted_fields(self, existing: Record | None) -> Record:
        return {name: value for channel in self.channels for name, value in channel.number_fields(self.setup).items()}

    async def change(self, id: str, fields: Record) -> str:
        form = {"".join(part.title() for part in name.split("_")): value or "" for name, value in fields.items()}
        await self.api.post_form(f"{self.url}/{id}.json", form)
        return id

    def notes(self, step: Step) -> Sequence[str]:
        """The URL that calls go to before the change."""
        now: Any = next((each.before for each in step.changes if each.field == "voice_url"), "")
        if not now or "demo.twilio.com" in now:
            return ()
        return (f"Calls go to {without_passwords(now)} now. undo gives them back.",)

    async def proofs(self, record: Record) -> AsyncIterator[Proof]:
        for channel in self.channels:
            async for proof in channel.proofs(self.setup):
                yield proof


def channel_setups() -> list[ChannelSetup]:
    return [channel() for channel in conventions.setup_channels()]


async def phone_number(setup: SetupContext) -> str:
    """The phone number in E.164; read early, because capture rules contain it."""
    if "number" not in setup.records:
        number = Number(setup)
        number.publish(await number.read())
    return str(setup.records["number"]["phone_number"])
