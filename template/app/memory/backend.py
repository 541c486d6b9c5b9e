"""What every memory is, wherever it is kept: who somebody is, what is known of them, and how it is forgotten."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Self

from pydantic import Field

from app.capability import Services
from app.settings import Settings

KINDS = ("traits", "observations", "summaries")
E164 = re.compile(r"\+[1-9]\d{6,14}")
KEYPAD = {
    letter: str(2 + key)
    for key, letters in enumerate(["abc", "def", "ghi", "jkl", "mno", "pqrs", "tuv", "wxyz"])
    for letter in letters
}
# Whoever withholds the number comes from such a word, spelled on a keypad: +266696687 is "anonymous".
NOBODY = {
    "+" + "".join(KEYPAD[letter] for letter in word)
    for word in ("anonymous", "blocked", "private", "restricted", "unavailable", "unknown")
}


class MemorySettings(Settings):
    memory_scope: str = Field(
        ",".join(KINDS),
        alias="AGENT_MEMORY_SCOPE",
        pattern=rf"^\s*({'|'.join(KINDS)})(\s*,\s*({'|'.join(KINDS)}))*\s*$",
        description=f"Write what is kept and recalled: one or more of {','.join(KINDS)}, with commas.",
    )
    memory_days: int = Field(
        365, alias="AGENT_MEMORY_DAYS", ge=1, le=36500, description="Write after how many days memory is forgotten."
    )
    memory_items: int = Field(
        10, alias="AGENT_MEMORY_ITEMS", ge=1, le=100, description="Write how many of a kind are recalled, 1 to 100."
    )
    # The greeting lasts longer than a look-up, as a rule. Whoever speaks at once does not notice 0.3 seconds.
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
    """Whose memory it is. A phone number is E.164."""

    kind: Literal["phone", "email", "account_id"]
    value: str


def identity_of(caller: str, parameters: Mapping[str, str]) -> Identity | None:
    """Who it is, by number, or else by what the channel says. None for somebody who withholds both: nothing is kept."""
    if E164.fullmatch(caller) and caller not in NOBODY:
        return Identity("phone", caller)
    if email := parameters.get("email", "").strip().lower():
        return Identity("email", email)
    if account_id := parameters.get("account_id", "").strip():
        return Identity("account_id", account_id)
    return None


@dataclass(frozen=True)
class Item:
    """An observation or a summary, and when it was made."""

    text: str
    at: datetime | None = None


@dataclass
class Known:
    """What is known of somebody. Newest first; recalled by a query, best first."""

    traits: dict[str, str] = field(default_factory=dict)
    observations: list[Item] = field(default_factory=list)
    summaries: list[Item] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.traits) + len(self.observations) + len(self.summaries)


@dataclass
class Forgotten:
    """How many were deleted."""

    profiles: int = 0
    observations: int = 0
    summaries: int = 0


class Backend(ABC):
    """Keeps memory. Every method may raise whatever its service raises; profiles are ids of the backend's own."""

    settings: type[MemorySettings] = MemorySettings

    @classmethod
    @abstractmethod
    def build(cls, services: Services) -> Self: ...

    async def open(self) -> None:  # noqa: B027 (optional)
        """The server starts."""

    async def close(self) -> None:  # noqa: B027 (optional)
        """Let go of connections."""

    @abstractmethod
    async def identify(self, identity: Identity) -> str | None:
        """The profile of somebody who is known."""

    @abstractmethod
    async def create(self, identity: Identity) -> str:
        """The profile of somebody, a new one if there is none."""

    @abstractmethod
    async def recall(self, profile: str, query: str | None = None) -> Known:
        """The newest items within scope and retention, or those that fit `query`."""

    @abstractmethod
    async def remember(self, profile: str, observation: str, conversation_id: str | None = None) -> None: ...

    @abstractmethod
    async def summarize(self, profile: str, summary: str, conversation_id: str | None = None) -> None: ...

    async def ended(self, identity: Identity) -> None:  # noqa: B027 (optional)
        """A conversation is over."""

    @abstractmethod
    async def forget(self, identity: Identity) -> Forgotten:
        """Delete all of it. What is found nowhere counts as nothing."""
