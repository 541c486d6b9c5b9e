"""The memory store, which holds profiles. Every conversation configuration needs one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from kit.setup.api import Record, SetupError
from kit.setup.resource import Proof, Resource

URL = "https://memory.twilio.com/v1"
STORES = f"{URL}/ControlPlane/Stores"
TEST_NUMBER = "+15005550009"  # one of Twilio's magic test numbers, never a caller
PROOF_TEXT = "agent setup verify wrote this"
MAX_POLLS = 60  # polls


class MemoryStore(Resource):
    kind = "memory store"
    variable = "TWILIO_MEMORY_STORE_ID"
    flag = "store"
    one_way = ("A store is deleted with all that it remembers: undo deletes one that setup has made.",)

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{STORES}/{id}")

    async def search(self) -> Record | None:
        for id in await self.api.list_all(STORES, "stores"):
            store = await self.fetch(str(id))
            if store and store.get("displayName") == self.setup.name:
                return store
        return None

    async def wanted(self, existing: Record | None) -> Record:
        """An existing store is used unchanged."""
        if existing:
            return {}
        return {"displayName": self.setup.name, "description": f"What {self.setup.name} remembers"}

    async def create(self, wanted: Record) -> str:
        return await self.wait_for_id(await self.api.send_json("POST", STORES, wanted))

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
        raise SetupError(f"The memory store {id} is not ACTIVE yet. Run the same command later: it goes on from here.")

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{STORES}/{id}")

    async def proofs(self, record: Record) -> AsyncIterator[Proof]:
        """Write an observation to the profile of a test number, read it, delete the profile."""
        active = record.get("status") == "ACTIVE"
        yield Proof(self.key, "is ACTIVE", active, "" if active else f"It is {record.get('status')}.")
        if active:
            yield await self._proof(f"{URL}/Stores/{record['id']}/Profiles")

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
