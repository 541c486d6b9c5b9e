"""The interface of a memory backend, and the identity, memories and settings that all backends share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self

from pydantic import Field

from app.capability import Services
from app.connection import has_number, known_address
from app.settings import Settings

KINDS = ("traits", "observations", "summaries")


class MemorySettings(Settings):
    memory_scope: str = Field(
        ",".join(KINDS),
        alias="AGENT_MEMORY_SCOPE",
        pattern=rf"^\s*({'|'.join(KINDS)})(\s*,\s*({'|'.join(KINDS)}))*\s*$",
        description=f"Write what is saved and recalled: one or more of {','.join(KINDS)}, with commas.",
    )
    memory_days: int = Field(
        365, alias="AGENT_MEMORY_DAYS", ge=1, le=36500, description="Write after how many days memory is forgotten."
    )
    memory_items: int = Field(
        10, alias="AGENT_MEMORY_ITEMS", ge=1, le=100, description="Write how many of a kind are recalled, 1 to 100."
    )
    # The greeting is longer than a lookup, as a rule. A caller who speaks at once does not notice 0.3 seconds.
    memory_budget: float = Field(
        0.3,
        alias="AGENT_MEMORY_BUDGET",
        ge=0,
        le=1.5,
        description="Write how many seconds a first answer may wait, 0 to 1.5.",
    )

    @property
    def memory_kinds(self) -> frozenset[str]:
        return frozenset(kind.strip() for kind in self.memory_scope.split(","))


@dataclass(frozen=True)
class Identity:
    """The person that memories belong to. A phone number is E.164."""

    kind: Literal["phone", "email", "account_id"]
    value: str


def identity_of(caller: str, parameters: Mapping[str, str]) -> Identity | None:
    """The identity by phone number, else by email or account id of the channel. None when the caller withholds all."""
    if has_number(caller):
        return Identity("phone", caller)
    if email := parameters.get("email", "").strip().lower():
        return Identity("email", email)
    if account_id := known_address(parameters.get("account_id", "").strip()):
        return Identity("account_id", account_id)
    return None


@dataclass(frozen=True)
class Item:
    """An observation or a summary, and when it was made."""

    text: str
    at: datetime | None = None


@dataclass
class Memories:
    """Memories of one person: the newest first, or the best first when they were recalled by a query."""

    traits: dict[str, str] = field(default_factory=dict)
    observations: list[Item] = field(default_factory=list)
    summaries: list[Item] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.traits) + len(self.observations) + len(self.summaries)


@dataclass
class Deleted:
    """How many were deleted."""

    profiles: int = 0
    observations: int = 0
    summaries: int = 0


class Backend(ABC):
    """Stores memories. Every method raises the errors of its service. A profile is an id of the backend's own."""

    settings: type[MemorySettings] = MemorySettings

    @classmethod
    @abstractmethod
    def build(cls, services: Services) -> Self: ...

    async def open(self) -> None:  # noqa: B027 (optional)
        """Called when the server starts."""

    async def close(self) -> None:  # noqa: B027 (optional)
        """Close connections."""

    @abstractmethod
    async def find_profile(self, identity: Identity) -> str | None: ...

    @abstractmethod
    async def find_or_create_profile(self, identity: Identity) -> str: ...

    @abstractmethod
    async def recall(self, profile: str, query: str | None = None) -> Memories:
        """The newest items within scope and retention, or those that match `query`."""

    @abstractmethod
    async def add_observation(self, profile: str, text: str, conversation_id: str | None = None) -> None: ...

    @abstractmethod
    async def add_summary(self, profile: str, text: str, conversation_id: str | None = None) -> None: ...

    async def on_end(self, identity: Identity) -> None:  # noqa: B027 (optional)
        """Called when a conversation of this person is over."""

    @abstractmethod
    async def forget(self, identity: Identity) -> Deleted:
        """Delete every memory of this person. Zeros when there are none."""
