"""What a capability may contribute. `main.py`, the brain and the paths walk the registry; none names a capability."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import httpx2
import structlog
from fastapi import APIRouter
from pydantic import create_model

from app.session import Line, Offer, Session
from app.settings import Settings
from app.store import Store

if TYPE_CHECKING:
    from app.brain import Brain

log = structlog.get_logger()

PATIENCE = 2.0  # seconds that a hook may keep somebody waiting
FAREWELL = 10.0  # seconds that a hook may take when a conversation is over


@dataclass
class Services:
    """What a capability is built from. `transport` carries its requests to Twilio; None is the network.

    `capabilities` are all of them, as soon as they are built.
    """

    settings: Any
    store: Store
    now: Callable[[], datetime]
    transport: httpx2.AsyncBaseTransport | None = None
    capabilities: Sequence[Capability] = ()


class Capability:
    """A rung of the ladder. Every hook is optional; one that raises or hangs is logged and the conversation goes on."""

    settings: type[Settings] = Settings
    spoken_only = False  # whether conversations in writing pass it by

    @classmethod
    def build(cls, services: Services) -> Self:
        return cls()

    def routes(self) -> APIRouter:
        """Webhooks of its own."""
        return APIRouter()

    def answered_by(self, brain: Brain) -> None:
        """Who answers, for a capability that brings conversations of its own."""

    @property
    def busy(self) -> int:
        """How many people wait for it just now, for a capability that brings conversations of its own."""
        return 0

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        """What the model may use in this conversation."""
        return ()

    def offers(self, session: Session) -> Mapping[str, Offer]:
        """What `agent/` and other capabilities may ask of this one, by name. A session without it says no."""
        return {}

    async def line(self, session: Session) -> Line | None:
        """A line to a conversation that is in progress and that nobody is answering at the moment."""
        return None

    async def taken(self, session: Session) -> bool:
        """Whether a human has the conversation. The agent does not answer it then."""
        return False

    async def open(self) -> None:
        """The server starts."""

    async def close(self) -> None:
        """The server stops; nothing is in progress any more."""

    async def on_start(self, session: Session) -> None:
        """It has begun; nobody has been answered yet."""

    async def on_resume(self, session: Session) -> None:
        """It goes on after its line was closed, perhaps on another worker."""

    async def context(self, session: Session, text: str) -> str | None:
        """What the model should know before it answers `text`."""
        return None

    async def on_end(self, session: Session) -> None:
        """It is over and will not come back."""


async def each(capabilities: Sequence[Capability], hook: str, *args: Any, within: float | None = None) -> list[Any]:
    """What every capability's hook returned. One that raises, or takes longer than `within` seconds, is left out."""
    written = any(isinstance(arg, Session) and not arg.line.spoken for arg in args)
    results = []
    for capability in capabilities:
        if capability.spoken_only and written:
            continue
        try:
            async with asyncio.timeout(within or PATIENCE):
                result = getattr(capability, hook)(*args)
                results.append(await result if isinstance(result, Awaitable) else result)
        except Exception:
            log.exception("capability.failed", capability=type(capability).__name__, hook=hook)
    return results


async def equip(session: Session, capabilities: Sequence[Capability]) -> None:
    """Give a session what the capabilities offer, a new one, one that has come back, one that is over; and a line, if
    it has none and there is one."""
    if not session.line.open:
        lines = await each(capabilities, "line", session)
        session.line = next(filter(None, lines), session.line)
    for offers in await each(capabilities, "offers", session):
        session.offers |= offers


def combined(*parts: type[Settings]) -> type[Settings]:
    """The settings of everything that is switched on, as one class: read at once, refused at once."""
    own = [
        part for part in dict.fromkeys(parts) if not any(part is not more and issubclass(more, part) for more in parts)
    ]
    return create_model("ProjectSettings", __base__=tuple(own) or (Settings,))
