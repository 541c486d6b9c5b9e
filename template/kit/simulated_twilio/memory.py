"""Conversation Memory (v1): profiles, observations, summaries and what Recall makes of them.

It refuses what the real one refuses, and is as slow where that matters. Shapes: the helper library's models;
delays: https://github.com/twilio/twilio-agent-connect-python/pull/106
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from kit.defaults import settings
from kit.simulated_twilio.memory_stores import Stores
from kit.simulated_twilio.product import Answer, NotFound, Product, Refused, Request, route

LOOKUP, RECALL, EXPANSION = 0.9, 0.04, 3.0  # seconds; the last when a model has to write the query
READABLE_AFTER = 1.0  # seconds after a write has been answered
EXTRACTED_AFTER = 2.5  # seconds after a conversation has been closed
FIELDS = {"callers", "extracts"}
OF_A_CALLER = {"traits", "observations", "summaries"}


@dataclass
class Profile:
    """What is known of one person. Items are kept newest first; each is readable from its `visibleAt` on."""

    id: str
    traits: dict[str, dict[str, Any]]
    visible_at: float
    items: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"observations": [], "summaries": []})

    def has(self, value: str) -> bool:
        return any(value == own for group in self.traits.values() for own in group.values())


@dataclass
class Memory(Product):
    """`merged` maps a profile that is no more to the one that it became. `extracts` is what a closed conversation of a
    caller leaves, by phone number: a model reads it in the real one."""

    host = "memory.twilio.com"
    stores: Stores | None = None
    profiles: dict[str, Profile] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    extracts: dict[str, list[str]] = field(default_factory=dict)
    page_size: int = 50
    _number: int = 0

    # --- what a scenario or a test says ------------------------------------------------------------------------

    def given(self, facts: dict[str, Any]) -> None:
        """`callers`: phone number to `traits`, `observations` and `summaries`; `extracts`: phone number to texts."""
        if wrong := facts.keys() - FIELDS:
            raise ValueError(f"memory has no {', '.join(wrong)}; it has {', '.join(sorted(FIELDS))}")
        for phone, known in facts.get("callers", {}).items():
            self.knows(phone, **checked(known))
        self.extracts |= facts.get("extracts", {})

    def knows(
        self,
        phone: str,
        traits: dict[str, Any] | None = None,
        observations: Iterable[str] = (),
        summaries: Iterable[str] = (),
    ) -> Profile:
        """Somebody called before. `traits` join the phone number in the group `Contact`."""
        profile = self._new({"Contact": {"phone": phone, **(traits or {})}})
        for kind, texts in (("observations", observations), ("summaries", summaries)):
            for text in texts:
                self._add(profile, kind, {"content": text, "source": "conversation-intelligence"})
        profile.visible_at = 0
        for item in [*profile.items["observations"], *profile.items["summaries"]]:
            item["visibleAt"] = 0
        return profile

    def of(self, phone: str) -> Profile | None:
        """The profile of a caller, readable or not yet."""
        return next((profile for profile in self.profiles.values() if profile.has(phone)), None)

    def resolve(self, phone: str) -> str:
        """What Orchestrator does for a participant: find the profile, or make one."""
        return (self.of(phone) or self._new({"Contact": {"phone": phone}})).id

    def extract(self, phone: str) -> None:
        """A conversation of this caller has been closed."""
        profile = self.of(phone)
        for text in self.extracts.get(phone, []) if profile else []:
            assert profile
            self._add(
                profile, "observations", {"content": text, "source": "conversation-intelligence"}, EXTRACTED_AFTER
            )

    # --- what is asked of it --------------------------------------------------------------------------------------

    @route("POST", "/v1/Stores/{store}/Profiles/Lookup")
    async def lookup(self, request: Request, store: str) -> Answer:
        await self._store(store, LOOKUP)
        wanted = json(request, "idType", "value")
        found = [each.id for each in self.profiles.values() if visible(each.visible_at) and each.has(wanted["value"])]
        return 200, {"normalizedValue": wanted["value"], "profiles": found or None}

    @route("POST", "/v1/Stores/{store}/Profiles")
    async def create(self, request: Request, store: str) -> Answer:
        await self._store(store)
        traits = json(request, "traits")["traits"]
        identifiers = [str(value) for group in traits.values() for value in group.values()]
        if not identifiers:
            raise Refused("no trait is promoted to an identifier")
        known = next((each for each in self.profiles.values() if any(map(each.has, identifiers))), None)
        return 202, {"id": (known or self._new(traits)).id, "message": "accepted"}

    @route("GET", "/v1/Stores/{store}/Profiles/{id}")
    async def fetch(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        if moved := self._moved(request, id):
            return moved
        profile = self._profile(id)
        return 200, {"id": id, "createdAt": "2026-01-01T00:00:00Z", "traits": profile.traits}

    @route("PATCH", "/v1/Stores/{store}/Profiles/{id}")
    async def patch(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        for group, traits in json(request, "traits")["traits"].items():
            self._profile(id).traits.setdefault(group, {}).update(traits)
        return 202, {"message": "accepted"}

    @route("DELETE", "/v1/Stores/{store}/Profiles/{id}")
    async def delete(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        self._profile(id)
        del self.profiles[id]
        return 202, {"message": "accepted"}

    @route("GET", "/v1/Stores/{store}/Profiles/{id}/Traits")
    async def traits(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        groups = self._profile(id).traits
        own = [
            {"name": name, "value": value, "traitGroup": group, "timestamp": "2026-01-01T00:00:00Z"}
            for group, traits in groups.items()
            for name, value in traits.items()
        ]
        return 200, self._page(request, "traits", own)

    @route("POST", "/v1/Stores/{store}/Profiles/{id}/Observations")
    async def observe(self, request: Request, store: str, id: str) -> Answer:
        return await self._create_items(request, store, id, "observations")

    @route("POST", "/v1/Stores/{store}/Profiles/{id}/ConversationSummaries")
    async def summarize(self, request: Request, store: str, id: str) -> Answer:
        return await self._create_items(request, store, id, "summaries")

    @route("GET", "/v1/Stores/{store}/Profiles/{id}/Observations")
    async def observations(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        return 200, self._page(request, "observations", readable(self._profile(id), "observations"))

    @route("GET", "/v1/Stores/{store}/Profiles/{id}/ConversationSummaries")
    async def summaries(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        return 200, self._page(request, "summaries", readable(self._profile(id), "summaries"))

    @route("DELETE", "/v1/Stores/{store}/Profiles/{id}/Observations/{item}")
    async def delete_observation(self, request: Request, store: str, id: str, item: str) -> Answer:
        return await self._delete_item(store, id, "observations", item)

    @route("DELETE", "/v1/Stores/{store}/Profiles/{id}/ConversationSummaries/{item}")
    async def delete_summary(self, request: Request, store: str, id: str, item: str) -> Answer:
        return await self._delete_item(store, id, "summaries", item)

    @route("POST", "/v1/Stores/{store}/Profiles/{id}/Recall")
    async def recall(self, request: Request, store: str, id: str) -> Answer:
        wanted = json(request)
        query, conversation = wanted.get("query"), wanted.get("conversationId")
        await self._store(store, EXPANSION if conversation and not query else RECALL)
        if moved := self._moved(request, id):
            return moved
        if wanted.get("communicationsLimit", 0) > 0 and not conversation:
            raise Refused("conversation_id is required when communications_limit is greater than 0")
        if query is not None and not 1 <= len(query) <= 1024:
            raise Refused("query must have 1 to 1024 characters")
        profile, begin = self._profile(id), wanted.get("beginDate", "")
        answer: dict[str, Any] = {"communications": [], "meta": {"queryTime": 1}}
        for kind, default in (("observations", 20), ("summaries", 5)):
            limit = wanted.get(f"{kind}Limit", default)
            if not 0 <= limit <= 100:
                raise Refused(f"{kind}Limit must be 0 to 100")
            found = [each for each in readable(profile, kind) if each["occurredAt"] >= begin]
            answer[kind] = (best(found, query) if query else found)[:limit]
        return 200, answer

    # --- how it keeps it --------------------------------------------------------------------------------------------

    async def _store(self, store: str, delay: float = 0.0) -> None:
        await asyncio.sleep(delay / self.pace)
        ours = store == getattr(settings(), "memory_store_id", None)
        if not ours and not (self.stores and self.stores.active(store)):
            raise NotFound("the memory store does not exist (520041)")

    def _profile(self, id: str) -> Profile:
        if id not in self.profiles:
            raise NotFound(f"profile {id} was not found")
        return self.profiles[id]

    def _moved(self, request: Request, id: str) -> Answer | None:
        """308 for a profile that has become part of another one."""
        if id not in self.merged:
            return None
        return 308, {"location": request.path.replace(id, self.merged[id]), "message": "the profile was merged"}

    def _new(self, traits: dict[str, dict[str, Any]]) -> Profile:
        profile = Profile(self._id("mem_profile"), traits, clock() + READABLE_AFTER / self.pace)
        self.profiles[profile.id] = profile
        return profile

    def _add(self, profile: Profile, kind: str, item: dict[str, Any], after: float = READABLE_AFTER) -> None:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        own = {"id": self._id(f"mem_{kind[:3]}"), "createdAt": now, "updatedAt": now, "occurredAt": now}
        profile.items[kind].insert(0, {**own, **item, "visibleAt": clock() + after / self.pace})

    async def _create_items(self, request: Request, store: str, id: str, kind: str) -> Answer:
        await self._store(store)
        profile, items = self._profile(id), json(request, kind)[kind]
        if not 1 <= len(items) <= 10:
            raise Refused("1 to 10 items at once")
        for item in items:
            if not 1 <= len(item.get("content", "")) <= 4096 or not re.fullmatch(r"[\w ./-]{1,100}", item["source"]):
                raise Refused("content must have 1 to 4096 characters, source 1 to 100")
        for item in items:
            self._add(profile, kind, item)
        return 202, {"message": "accepted"}

    async def _delete_item(self, store: str, id: str, kind: str, item: str) -> Answer:
        await self._store(store)
        items = self._profile(id).items[kind]
        found = next((each for each in items if each["id"] == item), None)
        if found is None:
            raise NotFound(f"{item} was not found")
        items.remove(found)
        return 202, {"message": "accepted"}

    def _page(self, request: Request, key: str, records: list[dict[str, Any]]) -> dict[str, Any]:
        size, start = int(request.query.get("pageSize", self.page_size)), int(request.query.get("pageToken", 0))
        following = {"nextToken": str(start + size)} if start + size < len(records) else {}
        return {key: records[start : start + size], "meta": {"key": key, "pageSize": size, **following}}

    def _id(self, kind: str) -> str:
        self._number += 1
        return f"{kind}_{self._number:026d}"


def checked(known: dict[str, Any]) -> dict[str, Any]:
    if wrong := known.keys() - OF_A_CALLER:
        raise ValueError(f"a caller has no {', '.join(wrong)}; a caller has {', '.join(sorted(OF_A_CALLER))}")
    return known


def json(request: Request, *required: str) -> dict[str, Any]:
    """The fields of a JSON body; forms are refused, as the real one does."""
    if not isinstance(request.body, dict) or any(request.body.get(name) is None for name in required):
        raise Refused(f"a JSON object with {', '.join(required)} is needed")
    return request.body


def clock() -> float:
    return datetime.now(UTC).timestamp()


def visible(at: float) -> bool:
    return clock() >= at


def readable(profile: Profile, kind: str) -> list[dict[str, Any]]:
    found = [each for each in profile.items[kind] if visible(each["visibleAt"])]
    return [{name: value for name, value in each.items() if name != "visibleAt"} for each in found]


def best(items: list[dict[str, Any]], query: str) -> list[dict[str, Any]]:
    """Those that share a word with the query, most shared words first."""
    asked = words(query)
    scored = [{**each, "score": len(words(each["content"]) & asked) / (len(asked) or 1)} for each in items]
    return sorted((each for each in scored if each["score"]), key=lambda each: -each["score"])


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{3,}", text.casefold()))
