"""The conversation configuration: which channels are conversations, where they are remembered, who is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import uuid4

from app.orchestrator.memory_store import MemoryStore
from kit.setup.api import Record
from kit.setup.number import chosen, ways
from kit.setup.plan import LATER, Check, Resource, Step, variables

URL = "https://conversations.twilio.com/v2/ControlPlane/Configurations"
# One conversation for each call and for each channel in which somebody writes: what the agent counts on.
GROUPING = "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE"


class ConversationConfiguration(Resource):
    order = 11
    kind = "conversation configuration"
    variable = "TWILIO_CONVERSATION_CONFIGURATION_ID"
    flag = "configuration"
    one_way = (
        "conversationGroupingType cannot be changed once the configuration is made.",
        "Taking a capture rule away stops all that it captures.",
    )

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{URL}/{id}")

    async def search(self) -> Record | None:
        """Lists hold partial objects."""
        for each in await self.api.all(URL, "configurations"):
            if each.get("displayName") == self.setup.name:
                return await self.fetch(each["id"])
        return None

    async def wanted(self, existing: Record | None) -> Record:
        """What others have put into it stays: channels, rules, callbacks."""
        channels: dict[str, Any] = dict((existing or {}).get("channelSettings") or {})
        callbacks = list((existing or {}).get("statusCallbacks") or [])
        known = [each.get("url") for each in callbacks]
        number = await chosen(self.setup)
        for way in ways():
            for channel, settings in way.channels(self.setup, number).items():
                have = channels.get(channel)
                channels[channel] = settings if have is None else way.kept(channel, have, settings)
            callbacks += [{"url": url, "method": "POST"} for url in way.callbacks(self.setup) if url not in known]
        wanted = {
            "description": (existing or {}).get("description") or self._description,
            "memoryStoreId": self.setup.ids["memory store"],
            "memoryExtractionEnabled": "TWILIO_MEMORY_STORE_ID" in variables(),
            "channelSettings": channels,
            "statusCallbacks": callbacks,
        }
        if existing is None:
            grouping = self.setup.choices.given.get("grouping", GROUPING)
            wanted = {"displayName": self.setup.name, "conversationGroupingType": grouping, **wanted}
        return wanted

    @property
    def _description(self) -> str:
        """Always sent: TAC reads no configuration without one."""
        return f"The conversations of {self.setup.name}"

    def same(self, name: str, before: Any, after: Any) -> bool:
        return super().same(name, bare(before), bare(after))

    async def create(self, wanted: Record) -> str:
        """The key makes Twilio answer a repetition, for a day, as it answered the first."""
        begun = self.setup.journal.entry(self.key).get("begun", {})
        key = begun.get("idempotencyKey") or str(uuid4())
        self.setup.journal.note(self.key, begun={**begun, "idempotencyKey": key})
        return await self.made(await self.api.send("POST", URL, wanted, **{"Idempotency-Key": key}))

    def made_by(self, operation: Record) -> str:
        return str(operation["related"]["configurationId"])

    async def change(self, id: str, fields: Record) -> str:
        """PATCH: PUT would replace what we do not know."""
        if not fields.get("description"):
            record = await self.fetch(id) or {}
            fields = {**fields, "description": record.get("description") or self._description}
        await self.api.finished(await self.api.send("PATCH", f"{URL}/{id}", fields))
        return id

    async def restore(self, id: str, fields: Record) -> None:
        """A channel that was not there is removed by null."""
        if "channelSettings" in fields:
            now = (await self.fetch(id) or {}).get("channelSettings") or {}
            fields = {**fields, "channelSettings": {**dict.fromkeys(now), **(fields["channelSettings"] or {})}}
        await self.change(id, fields)

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{URL}/{id}")

    def notes(self, step: Step) -> Sequence[str]:
        voice = ((step.record or {}).get("channelSettings") or {}).get("VOICE") or {}
        if not voice.get("captureRules"):
            return ()
        return ("VOICE has capture rules: with ConversationRelay, speech recognition is paid for twice. They go.",)

    async def checks(self, record: Record) -> AsyncIterator[Check]:
        """A wrong store is accepted, and everything seems to work."""
        store, wanted = record.get("memoryStoreId"), self.setup.ids.get("memory store")
        right = bool(store) and store == wanted and wanted != LATER
        detail = "Nothing is remembered, and nobody is recognised: agent setup apply changes it."
        yield Check(self.key, "names the memory store", right, "" if right else detail)


def bare(value: Any) -> Any:
    """Without what is empty: `captureRules: []` is no rule."""
    if isinstance(value, dict):
        return {name: bare(each) for name, each in value.items() if bare(each) not in (None, "", [], {})}
    return [bare(each) for each in value] if isinstance(value, list) else value


RESOURCES = [MemoryStore, ConversationConfiguration]
