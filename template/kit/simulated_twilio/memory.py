"""Conversation Memory (v1): profiles, observations, summaries and Recall.

It refuses the requests that Twilio refuses, and has its delays. Shapes: the models of the helper library;
delays: https://github.com/twilio/twilio-agent-connect-python/pull/106
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from kit.defaults import example
from kit.simulated_twilio.memory_stores import MemoryStores
from kit.simulated_twilio.product import (
    Answer,
    ApiError,
    BadRequest,
    Product,
    Request,
    get,
    identifier,
    route,
    timestamp,
)

LOOKUP, RECALL, EXPANSION = 0.9, 0.04, 3.0  # seconds; EXPANSION when a model has to write the query
READABLE_AFTER = 1.0  # seconds after the response to a write
EXTRACTED_AFTER = 2.5  # seconds after a conversation has been closed
OWN_STORE = example("memory_store_id")  # the store of the project, which is active from the start
FIELDS = {"callers", "extracts"}
CALLER_FIELDS = {"traits", "observations", "summaries"}
PROFILES = "/v1/Stores/{store}/Profiles"
ITEMS = PROFILES + "/{id}/(?P<items>Observations|ConversationSummaries)"
KINDS = {"Observations": "observations", "ConversationSummaries": "summaries"}


@dataclass
class Profile:
    """The profile of a person. The newest item is the first; an item can be read from `visibleAt` (of the clock) on."""

    id: str
    traits: dict[str, dict[str, Any]]
    visible_at: float
    items: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: {"observations": [], "summaries": []})

    def has(self, value: str) -> bool:
        return any(value == own for group in self.traits.values() for own in group.values())


@dataclass
class Memory(Product):
    """`merged` maps the id of a merged profile to its successor. `extracts` are the observations that a closed
    conversation leaves, by phone number: at Twilio a model writes them."""

    host = "memory.twilio.com"
    setting = "memory_store_id"
    stores: MemoryStores | None = None
    profiles: dict[str, Profile] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    extracts: dict[str, list[str]] = field(default_factory=dict)
    _created: int = 0

    # --- state that scenarios and tests set ---------------------------------------------------------------------------

    def set_state(self, facts: dict[str, Any]) -> None:
        """`callers`: phone number to `traits`, `observations` and `summaries`; `extracts`: phone number to texts."""
        if wrong := facts.keys() - FIELDS:
            raise ValueError(f"memory has no {', '.join(wrong)}; it has {', '.join(sorted(FIELDS))}")
        for phone, known in facts.get("callers", {}).items():
            if wrong := known.keys() - CALLER_FIELDS:
                fields = ", ".join(sorted(CALLER_FIELDS))
                raise ValueError(f"a caller has no {', '.join(wrong)}; a caller has {fields}")
            self.add_caller(phone, **known)
        self.extracts |= facts.get("extracts", {})

    def add_caller(
        self,
        phone: str,
        traits: dict[str, Any] | None = None,
        observations: Iterable[str] = (),
        summaries: Iterable[str] = (),
    ) -> Profile:
        """Add a profile that can be read at once. `traits` join the phone number in the group `Contact`."""
        profile = self._add_profile({"Contact": {"phone": phone, **(traits or {})}}, after=0)
        for kind, texts in (("observations", observations), ("summaries", summaries)):
            for text in texts:
                self._add(profile, kind, {"content": text, "source": "conversation-intelligence"}, after=0)
        return profile

    def of(self, phone: str) -> Profile | None:
        """The profile of a caller, readable or not yet."""
        return next((profile for profile in self.profiles.values() if profile.has(phone)), None)

    def resolve(self, phone: str) -> str:
        """The id of the profile that Orchestrator finds, or creates, for a participant."""
        return (self.of(phone) or self._add_profile({"Contact": {"phone": phone}})).id

    def extract(self, phone: str) -> None:
        """Write the observations of a conversation that has been closed."""
        if profile := self.of(phone):
            for text in self.extracts.get(phone, []):
                item = {"content": text, "source": "conversation-intelligence"}
                self._add(profile, "observations", item, EXTRACTED_AFTER)

    # --- requests -------------------------------------------------------------------------------------------------

    @route("POST", PROFILES + "/Lookup")
    async def lookup(self, request: Request, store: str) -> Answer:
        await self._store(store, LOOKUP)
        value, now = fields(request, "idType", "value")["value"], self.clock.now()
        found = [each.id for each in self.profiles.values() if now >= each.visible_at and each.has(value)]
        return 200, {"normalizedValue": value, "profiles": found or None}

    @route("POST", PROFILES)
    async def create(self, request: Request, store: str) -> Answer:
        await self._store(store)
        traits = fields(request, "traits")["traits"]
        identifiers = [str(value) for group in traits.values() for value in group.values()]
        if not identifiers:
            raise BadRequest("no trait is promoted to an identifier")
        known = next((each for each in self.profiles.values() if any(map(each.has, identifiers))), None)
        return 202, {"id": (known or self._add_profile(traits)).id, "message": "accepted"}

    @route("GET", PROFILES)
    async def list_profiles(self, request: Request, store: str) -> Answer:
        """The ids alone."""
        await self._store(store)
        return 200, self.page(request, "profiles", self.profiles)

    @route("GET", PROFILES + "/{id}")
    async def fetch(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        if moved := self._moved(request, id):
            return moved
        return 200, {"id": id, "createdAt": "2026-01-01T00:00:00Z", "traits": self._profile(id).traits}

    @route("PATCH", PROFILES + "/{id}")
    async def patch(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        for group, traits in fields(request, "traits")["traits"].items():
            self._profile(id).traits.setdefault(group, {}).update(traits)
        return 202, {"message": "accepted"}

    @route("DELETE", PROFILES + "/{id}")
    async def delete(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        del self.profiles[self._profile(id).id]
        return 202, {"message": "accepted"}

    @route("GET", PROFILES + "/{id}/Traits")
    async def traits(self, request: Request, store: str, id: str) -> Answer:
        await self._store(store)
        own = [
            {"name": name, "value": value, "traitGroup": group, "timestamp": "2026-01-01T00:00:00Z"}
            for group, traits in self._profile(id).traits.items()
            for name, value in traits.items()
        ]
        return 200, self.page(request, "traits", own)

    @route("POST", PROFILES + "/{id}/Recall")
    async def recall(self, request: Request, store: str, id: str) -> Answer:
        wanted = fields(request)
        query, conversation = wanted.get("query"), wanted.get("conversationId")
        await self._store(store, EXPANSION if conversation and not query else RECALL)
        if moved := self._moved(request, id):
            return moved
        if wanted.get("communicationsLimit", 0) > 0 and not conversation:
            raise BadRequest("conversation_id is required when communications_limit is greater than 0")
        if query is not None and not 1 <= len(query) <= 1024:
            raise BadRequest("query must have 1 to 1024 characters")
        profile, begin = self._profile(id), wanted.get("beginDate", "")
        answer: dict[str, Any] = {"communications": [], "meta": {"queryTime": 1}}
        for kind, default in (("observations", 20), ("summaries", 5)):
            limit = wanted.get(f"{kind}Limit", default)
            if not 0 <= limit <= 100:
                raise BadRequest(f"{kind}Limit must be 0 to 100")
            found = [each for each in self._readable(profile, kind) if each["occurredAt"] >= begin]
            answer[kind] = (matching(found, query) if query else found)[:limit]
        return 200, answer

    @route("POST", ITEMS)
    async def create_items(self, request: Request, store: str, id: str, items: str) -> Answer:
        await self._store(store)
        kind = KINDS[items]
        profile, wanted = self._profile(id), fields(request, kind)[kind]
        if not 1 <= len(wanted) <= 10:
            raise BadRequest("1 to 10 items at once")
        for item in wanted:
            if not 1 <= len(item.get("content", "")) <= 4096 or not re.fullmatch(r"[\w ./-]{1,100}", item["source"]):
                raise BadRequest("content must have 1 to 4096 characters, source 1 to 100")
        for item in wanted:
            self._add(profile, kind, item)
        return 202, {"message": "accepted"}

    @route("GET", ITEMS)
    async def list_items(self, request: Request, store: str, id: str, items: str) -> Answer:
        await self._store(store)
        kind = KINDS[items]
        return 200, self.page(request, kind, self._readable(self._profile(id), kind))

    @route("DELETE", ITEMS + "/{item}")
    async def delete_item(self, request: Request, store: str, id: str, items: str, item: str) -> Answer:
        await self._store(store)
        known = self._profile(id).items[KINDS[items]]
        known.remove(get({each["id"]: each for each in known}, item))
        return 202, {"message": "accepted"}

    # --- state ----------------------------------------------------------------------------------------------------

    async def _store(self, store: str, delay: float = 0.0) -> None:
        """Wait for `delay` seconds. Raises NotFound without an active store."""
        await self.clock.sleep(delay)
        if store != OWN_STORE and not (self.stores and self.stores.active(store)):
            raise ApiError(404, "the memory store does not exist (520041)")

    def _profile(self, id: str) -> Profile:
        return get(self.profiles, id)

    def _moved(self, request: Request, id: str) -> Answer | None:
        """308 for a profile that was merged into another one."""
        if id not in self.merged:
            return None
        return 308, {"location": request.path.replace(id, self.merged[id]), "message": "the profile was merged"}

    def _add_profile(self, traits: dict[str, dict[str, Any]], after: float = READABLE_AFTER) -> Profile:
        profile = Profile(self._id("mem_profile"), traits, self.clock.now() + after)
        self.profiles[profile.id] = profile
        return profile

    def _add(self, profile: Profile, kind: str, item: dict[str, Any], after: float = READABLE_AFTER) -> None:
        now = timestamp()
        own = {"id": self._id(f"mem_{kind[:3]}"), "createdAt": now, "updatedAt": now, "occurredAt": now}
        profile.items[kind].insert(0, {**own, **item, "visibleAt": self.clock.now() + after})

    def _readable(self, profile: Profile, kind: str) -> list[dict[str, Any]]:
        found = [each for each in profile.items[kind] if self.clock.now() >= each["visibleAt"]]
        return [{name: value for name, value in each.items() if name != "visibleAt"} for each in found]

    def _id(self, kind: str) -> str:
        self._created += 1
        return identifier(kind, self._created)


def fields(request: Request, *required: str) -> dict[str, Any]:
    """The fields of a JSON body. Raises BadRequest for a form, or without one of `required`."""
    if not isinstance(request.body, dict) or any(request.body.get(name) is None for name in required):
        raise BadRequest(f"a JSON object with {', '.join(required)} is needed")
    return request.body


def matching(items: list[dict[str, Any]], query: str) -> list[dict[str, Any]]:
    """The items that share a word with the query, most shared words first."""
    asked = words(query)
    scored = [{**each, "score": len(words(each["content"]) & asked) / (len(asked) or 1)} for each in items]
    return sorted((each for each in scored if each["score"]), key=lambda each: -each["score"])


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{3,}", text.casefold()))
