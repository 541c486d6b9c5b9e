"""Memory in Twilio: Conversation Memory API v1 (https://www.twilio.com/docs/api/memory/v1).

Twilio extracts most memories from closed conversations, if the conversation configuration says so. A write is answered
with 202 before it can be read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Self

import structlog
from pydantic import Field
from twilio.rest import Client
from twilio.rest.memory.v1.conversation_summary import ConversationSummaryList
from twilio.rest.memory.v1.lookup import LookupList
from twilio.rest.memory.v1.observation import ObservationList
from twilio.rest.memory.v1.profile import ProfileList
from twilio.rest.memory.v1.recall import RecallList

from app.capability import Services
from app.memory.backend import Backend, Deleted, Identity, Item, Memories, MemorySettings
from app.twilio_api import ApiSettings, list_all, twilio_client

log = structlog.get_logger()

MAX_CONTENT = 4096  # characters of an observation or a summary
MAX_QUERY = 1024  # characters
TRAIT_GROUP = "Contact"  # of phone, email and account_id, unless the store was set up otherwise
SOURCE = "agent"


class TwilioMemorySettings(MemorySettings, ApiSettings):
    memory_store_id: str = Field(
        alias="TWILIO_MEMORY_STORE_ID",
        pattern="^mem_store_[0-9a-z]{26}$",
        examples=["mem_store_" + "0" * 26],
        description="Copy the id of your memory store (mem_store_ and 26 characters).",
    )


class TwilioMemory(Backend):
    settings = TwilioMemorySettings

    def __init__(self, twilio: Client, settings: TwilioMemorySettings, now: Callable[[], datetime]) -> None:
        self.twilio = twilio
        self.api = twilio.memory.v1
        self.store_id = settings.memory_store_id
        self.kinds = settings.memory_kinds
        self.items = settings.memory_items
        self.age = timedelta(days=settings.memory_days)
        self.now = now

    @classmethod
    def build(cls, services: Services) -> Self:
        settings: TwilioMemorySettings = services.settings
        return cls(twilio_client(settings, services.transport), settings, services.now)

    async def close(self) -> None:
        await self.twilio.http_client.close()

    async def find_profile(self, identity: Identity) -> str | None:
        profiles = await self.find_profiles(identity)
        return profiles[0] if profiles else None

    async def find_or_create_profile(self, identity: Identity) -> str:
        """Twilio returns the profile that has this identity, if there is one."""
        wanted = ProfileList.ProfileData({"traits": {TRAIT_GROUP: {identity.kind: identity.value}}})
        created = await self.api.profiles(self.store_id).create_async(wanted)
        return profile_id(created.id)

    async def recall(self, profile: str, query: str | None = None) -> Memories:
        """Requests traits and items in parallel. Raises only when both requests fail.

        Without `query` there is no conversation id either: Twilio would have a model write the query, which takes 2 to
        10 seconds. Source: https://github.com/twilio/twilio-agent-connect-python/pull/106
        """
        requests = [self._items(profile, query)] if self.kinds & {"observations", "summaries"} else []
        if "traits" in self.kinds and query is None:
            requests.append(self._traits(profile))
        answers = await asyncio.gather(*requests, return_exceptions=True)
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if errors and len(errors) == len(answers):
            raise errors[0]
        for error in errors:
            log.warning("memory.incomplete", error=type(error).__name__, status=getattr(error, "status", None))
        memories = Memories()
        for part in (answer for answer in answers if isinstance(answer, Memories)):
            memories.traits |= part.traits
            memories.observations += part.observations
            memories.summaries += part.summaries
        return memories

    async def _items(self, profile: str, query: str | None) -> Memories:
        wanted = {
            "query": query[:MAX_QUERY] if query else None,
            "beginDate": iso(self.now() - self.age),
            "observationsLimit": self.items if "observations" in self.kinds else 0,
            "summariesLimit": self.items if "summaries" in self.kinds else 0,
            "communicationsLimit": 0,  # any other needs a conversation id (400)
        }
        recalled = await self.api.recall(self.store_id, profile).create_async(RecallList.MemoryRetrievalRequest(wanted))
        return Memories(observations=items(recalled.observations), summaries=items(recalled.summaries))

    async def _traits(self, profile: str) -> Memories:
        fetched = await self.api.profiles(self.store_id, profile).fetch_async()
        traits = {
            f"{group}.{name}": str(value)
            for group, own in (fetched.traits or {}).items()
            for name, value in own.items()
            if name != "phone" and value not in (None, "", [])
        }
        return Memories(traits=dict(list(traits.items())[: self.items]))

    async def add_observation(self, profile: str, text: str, conversation_id: str | None = None) -> None:
        item = {
            "content": text[:MAX_CONTENT],
            "source": SOURCE,
            "occurredAt": iso(self.now()),
            "conversationIds": [conversation_id] if conversation_id else None,
        }
        wanted = ObservationList.CreateObservationsRequest({"observations": [item]})
        await self.api.observations(self.store_id, profile).create_async(wanted)

    async def add_summary(self, profile: str, text: str, conversation_id: str | None = None) -> None:
        item = {
            "content": text[:MAX_CONTENT],
            "source": SOURCE,
            "occurredAt": iso(self.now()),
            "conversationId": conversation_id,
        }
        wanted = ConversationSummaryList.CreateSummariesRequest({"summaries": [item]})
        await self.api.conversation_summaries(self.store_id, profile).create_async(wanted)

    async def forget(self, identity: Identity) -> Deleted:
        """Deletes the items before their profile, so that an interrupted attempt can be repeated."""
        deleted = Deleted()
        for profile in await self.find_profiles(identity):
            for item in await list_all(self.api.observations(self.store_id, profile)):
                await self.api.observations(self.store_id, profile, item.id).delete_async()
                deleted.observations += 1
            for item in await list_all(self.api.conversation_summaries(self.store_id, profile)):
                await self.api.conversation_summaries(self.store_id, profile, item.id).delete_async()
                deleted.summaries += 1
            await self.api.profiles(self.store_id, profile).delete_async()
            deleted.profiles += 1
        return deleted

    async def find_profiles(self, identity: Identity) -> list[str]:
        wanted = LookupList.Identifier({"idType": identity.kind, "value": identity.value})
        found = await self.api.lookup(self.store_id).create_async(wanted)
        return [profile_id(each) for each in found.profiles or []]  # null when there is none


def profile_id(value: Any) -> str:
    """The id of a profile in an answer. Raises ValueError for anything else, of which a path could be made too."""
    if not (isinstance(value, str) and value):
        raise ValueError("Conversation Memory has answered without a profile")
    return value


def items(recalled: list[Any] | None) -> list[Item]:
    """The items of Recall that have a text."""
    return [
        Item(item["content"], parse_time(item.get("occurredAt") or item.get("createdAt")))
        for item in recalled or []
        if isinstance(item, dict) and item.get("content")
    ]


def parse_time(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None


def iso(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
