"""The memory store, which holds profiles, and the conversation configuration: channels, store, status callbacks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from kit.setup.api import Record, SetupError
from kit.setup.number import channel_setups, phone_number
from kit.setup.resource import UNKNOWN_UNTIL_APPLY, Proof, Resource, Step, variables

MEMORY_URL = "https://memory.twilio.com/v1"
MEMORY_STORES = f"{MEMORY_URL}/ControlPlane/Stores"
TEST_NUMBER = "+15005550009"  # one of Twilio's magic test numbers, never a caller
PROOF_TEXT = "agent setup verify wrote this"
MAX_POLLS = 60

URL = "https://conversations.twilio.com/v2/ControlPlane/Configurations"
# One conversation for each call, and one for each address and messaging channel: the agent needs this grouping.
GROUPING = "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE"


class MemoryStore(Resource):
    kind = "memory store"
    variable = "TWILIO_MEMORY_STORE_ID"
    flag = "store"
    one_way = ("A store is deleted with every memory in it: undo deletes a store that setup has created.",)

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{MEMORY_STORES}/{id}")

    async def search(self) -> Record | None:
        for id in await self.api.list_all(MEMORY_STORES, "stores"):
            store = await self.fetch(str(id))
            if store and store.get("displayName") == self.setup.name:
                return store
        return None

    async def wanted_fields(self, existing: Record | None) -> Record:
        """An existing store is used unchanged."""
        if existing:
            return {}
        return {"displayName": self.setup.name, "description": f"Memories of {self.setup.name}"}

    async def create(self, wanted: Record) -> str:
        return await self.wait_for_id(await self.api.send_json("POST", MEMORY_STORES, wanted))

    def id_from_operation(self, operation: Record) -> str:
        """`result` has the id, or `resultUrl` ends with it."""
        result: Any = operation.get("result")
        if isinstance(result, dict) and result.get("id"):
            return str(result["id"])
        return str(operation.get("resultUrl") or result or "").rstrip("/").rpartition("/")[2]

    async def wait_until_ready(self, id: str) -> None:
        for _ in range(MAX_POLLS):
            store = await self.fetch(id)
            if store and store.get("status") == "ACTIVE":
                return
            if store and store.get("status") == "FAILED":
                raise SetupError(
                    f"Twilio could not make the memory store {id}. Delete it in the Console, and try again."
                )
            await self.api.pause()
        raise SetupError(
            f"The memory store {id} is not ACTIVE yet. Run the command again later: it continues from here."
        )

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{MEMORY_STORES}/{id}")

    async def proofs(self, record: Record) -> AsyncIterator[Proof]:
        """Write an observation to the profile of a test number, read it, delete the profile."""
        active = record.get("status") == "ACTIVE"
        yield Proof(self.key, "is ACTIVE", active, "" if active else f"It is {record.get('status')}.")
        if active:
            yield await self._proof(f"{MEMORY_URL}/Stores/{record['id']}/Profiles")

    async def _proof(self, profiles: str) -> Proof:
        created = await self.api.send_json("POST", profiles, {"traits": {"Contact": {"phone": TEST_NUMBER}}})
        profile = f"{profiles}/{created['id']}"
        try:
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            item = {"content": PROOF_TEXT, "source": "agent-setup", "occurredAt": now}
            await self._wait_for_profile(profile)
            await self.api.send_json("POST", f"{profile}/Observations", {"observations": [item]})
            for _ in range(MAX_POLLS):
                found = await self.api.list_all(f"{profile}/Observations", "observations")
                if any(each.get("content") == PROOF_TEXT for each in found):
                    return Proof(self.key, "an observation that is written can be read", True)
                await self.api.pause()
            detail = "It was accepted and did not appear within a minute: look at the store in the Console."
            return Proof(self.key, "an observation that is written can be read", False, detail)
        finally:
            await self.api.delete(profile)

    async def _wait_for_profile(self, profile: str) -> None:
        """A profile can be read some seconds after it was accepted."""
        for _ in range(MAX_POLLS):
            if await self.api.find(profile):
                return
            await self.api.pause()


class ConversationConfiguration(Resource):
    kind = "conversation configuration"
    requires = ("memory store",)
    variable = "TWILIO_CONVERSATION_CONFIGURATION_ID"
    flag = "configuration"
    one_way = (
        "conversationGroupingType cannot be changed once the configuration is made.",
        "Without a capture rule, its messages are not captured any more.",
    )

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{URL}/{id}")

    async def search(self) -> Record | None:
        """Lists hold partial objects."""
        for each in await self.api.list_all(URL, "configurations"):
            if each.get("displayName") == self.setup.name:
                return await self.fetch(each["id"])
        return None

    async def wanted_fields(self, existing: Record | None) -> Record:
        """Channels, capture rules and callbacks of others are kept."""
        channels: dict[str, Any] = dict((existing or {}).get("channelSettings") or {})
        callbacks = list((existing or {}).get("statusCallbacks") or [])
        known = [each.get("url") for each in callbacks]
        number = await phone_number(self.setup)
        for setup_channel in channel_setups():
            for channel, settings in setup_channel.channel_settings(self.setup, number).items():
                have = channels.get(channel)
                channels[channel] = settings if have is None else setup_channel.merge_channel(have, settings)
            callbacks += [
                {"url": url, "method": "POST"} for url in setup_channel.status_callbacks(self.setup) if url not in known
            ]
        wanted = {
            "description": (existing or {}).get("description") or self._description,
            "memoryStoreId": self.setup.ids["memory store"],
            "memoryExtractionEnabled": "TWILIO_MEMORY_STORE_ID" in variables(),
            "channelSettings": channels,
            "statusCallbacks": callbacks,
        }
        if existing is None:
            grouping = self.setup.choices.flags.get("grouping", GROUPING)
            wanted = {"displayName": self.setup.name, "conversationGroupingType": grouping, **wanted}
        return wanted

    @property
    def _description(self) -> str:
        """Always sent: TAC fails to read a configuration without a description."""
        return f"The conversations of {self.setup.name}"

    def same(self, name: str, before: Any, after: Any) -> bool:
        return super().same(name, without_empty(before), without_empty(after))

    async def create(self, wanted: Record) -> str:
        """The idempotency key makes Twilio repeat its first response for 24 hours."""
        pending = self.setup.journal.entry(self.key).get("pending", {})
        key = pending.get("idempotencyKey") or str(uuid4())
        self.setup.journal.update(self.key, pending={**pending, "idempotencyKey": key})
        return await self.wait_for_id(await self.api.send_json("POST", URL, wanted, **{"Idempotency-Key": key}))

    def id_from_operation(self, operation: Record) -> str:
        return str(operation["related"]["configurationId"])

    async def change(self, id: str, fields: Record) -> str:
        """PATCH, since PUT would remove unknown fields."""
        if not fields.get("description"):
            record = await self.fetch(id) or {}
            fields = {**fields, "description": record.get("description") or self._description}
        await self.api.wait_for_operation(await self.api.send_json("PATCH", f"{URL}/{id}", fields))
        return id

    async def restore(self, id: str, fields: Record) -> None:
        """A channel that setup added is removed by null."""
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
        return ("Capture rules of VOICE are removed: with ConversationRelay, speech recognition is paid for twice.",)

    async def proofs(self, record: Record) -> AsyncIterator[Proof]:
        """Twilio accepts a wrong memory store without an error."""
        store, wanted = record.get("memoryStoreId"), self.setup.ids.get("memory store")
        right = bool(store) and store == wanted and wanted != UNKNOWN_UNTIL_APPLY
        detail = "No conversation is remembered, and no caller is recognised: agent setup apply changes it."
        yield Proof(self.key, "names the memory store", right, "" if right else detail)


def without_empty(value: Any) -> Any:
    """The value without empty fields: `captureRules: []` equals a missing one."""
    if isinstance(value, dict):
        return {
            name: without_empty(each) for name, each in value.items() if without_empty(each) not in (None, "", [], {})
        }
    return [without_empty(each) for each in value] if isinstance(value, list) else value


RESOURCES = [MemoryStore, ConversationConfiguration]
