"""The memory store: where profiles live. A conversation configuration cannot be without one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any

from kit.setup.api import Record, SetupError
from kit.setup.plan import Check, Resource, Step

URL = "https://memory.twilio.com/v1"
STORES = f"{URL}/ControlPlane/Stores"
NOBODY = "+15005550009"  # one of Twilio's test numbers: nobody calls from it
PROOF = "agent setup verify wrote this"
PATIENCE = 60  # looks


class MemoryStore(Resource):
    order = 10
    kind = "memory store"
    variable = "TWILIO_MEMORY_STORE_ID"
    flag = "store"
    one_way = ("A store is deleted with all that it remembers: undo deletes one that setup has made.",)

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{STORES}/{id}")

    async def search(self) -> Record | None:
        for id in await self.api.all(STORES, "stores"):
            store = await self.fetch(str(id))
            if store and store.get("displayName") == self.setup.name:
                return store
        return None

    async def wanted(self, existing: Record | None) -> Record:
        """One that is there is taken as it is."""
        if existing:
            return {}
        return {"displayName": self.setup.name, "description": f"What {self.setup.name} remembers"}

    async def create(self, wanted: Record) -> str:
        return await self.made(await self.api.send("POST", STORES, wanted))

    def made_by(self, operation: Record) -> str:
        """`result` has the id, or `resultUrl` ends with it."""
        result: Any = operation.get("result")
        if isinstance(result, dict) and result.get("id"):
            return str(result["id"])
        return str(operation.get("resultUrl") or result or "").rstrip("/").rpartition("/")[2]

    async def settle(self, id: str) -> None:
        for _ in range(PATIENCE):
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

    def notes(self, step: Step) -> Sequence[str]:
        return ()

    async def checks(self, record: Record) -> AsyncIterator[Check]:
        """Something is written to the profile of nobody, read, and deleted again."""
        active = record.get("status") == "ACTIVE"
        yield Check(self.key, "is ACTIVE", active, "" if active else f"It is {record.get('status')}.")
        if active:
            yield await self._proof(f"{URL}/Stores/{record['id']}/Profiles")

    async def _proof(self, profiles: str) -> Check:
        created = await self.api.send("POST", profiles, {"traits": {"Contact": {"phone": NOBODY}}})
        profile = f"{profiles}/{created['id']}"
        try:
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            item = {"content": PROOF, "source": "agent-setup", "occurredAt": now}
            await self._eventually(profile)
            await self.api.send("POST", f"{profile}/Observations", {"observations": [item]})
            for _ in range(PATIENCE):
                found = await self.api.all(f"{profile}/Observations", "observations")
                if any(each.get("content") == PROOF for each in found):
                    return Check(self.key, "an observation that is written can be read", True)
                await self.api.pause()
            detail = "It was accepted and did not appear within a minute: look at the store in the Console."
            return Check(self.key, "an observation that is written can be read", False, detail)
        finally:
            await self.api.delete(profile)

    async def _eventually(self, profile: str) -> None:
        """A profile can be read some moments after it was accepted."""
        for _ in range(PATIENCE):
            if await self.api.find(profile):
                return
            await self.api.pause()
