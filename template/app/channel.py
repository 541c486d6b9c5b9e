"""A channel: the routes that conversations come in by, and the conversations in progress."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Self

from fastapi import FastAPI

from app.brain import Brain
from app.capability import Capability, Services
from app.connection import Connection
from app.session import Session
from app.settings import Settings


class Channel(ABC):
    """Voice, or messaging. Converts webhooks or frames to turns, and replies to frames or API calls."""

    name: ClassVar[str]
    signed_path: ClassVar[str]  # a webhook that rejects requests without Twilio's signature
    settings: type[Settings] = Settings

    @classmethod
    @abstractmethod
    def build(cls, services: Services, brain: Brain) -> Self: ...

    @abstractmethod
    def connect(self, app: FastAPI) -> None:
        """Add the routes of this channel."""

    @property
    @abstractmethod
    def active(self) -> int:
        """How many conversations are in progress."""

    async def connection_to(self, session: Session) -> Connection | None:
        """A connection to a conversation that is between two turns, or None."""
        return None

    async def close(self) -> None:  # noqa: B027 (optional)
        """Finish what is in progress: the server stops."""


class Conversations:
    """Every conversation of this server. `draining` is True after the first signal to stop."""

    def __init__(self, channels: Sequence[Channel], capabilities: Sequence[Capability]) -> None:
        self.channels = channels
        self.capabilities = capabilities
        self.draining = False

    @property
    def active(self) -> int:
        return sum(channel.active for channel in self.channels)

    def channel(self, name: str) -> Any:
        """The channel of that name. Raises StopIteration for one that the project does not have."""
        return next(channel for channel in self.channels if channel.name == name)
