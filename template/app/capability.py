"""What a capability may contribute. `main.py`, the brain and the paths walk the registry; none names a capability."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self

import structlog
from fastapi import APIRouter

from app.session import Session
from app.settings import Settings

log = structlog.get_logger()


class Capability:
    """A rung of the ladder. Every hook is optional; a hook that raises is logged and the call goes on."""

    @classmethod
    def build(cls, settings: Settings) -> Self:
        return cls()

    def routes(self) -> APIRouter:
        """Webhooks of its own."""
        return APIRouter()

    def tools(self, session: Session) -> Sequence[Callable[..., Any]]:
        """What the model may call during this call."""
        return ()

    async def on_start(self, session: Session) -> None:
        """The call has arrived; nobody has spoken yet."""

    async def context(self, session: Session, text: str) -> str | None:
        """What the model should know before it answers `text`."""
        return None

    async def on_end(self, session: Session) -> None:
        """The call is over and will not come back."""

    async def on_handoff(self, session: Session, handoff: Mapping[str, Any]) -> str | None:
        """TwiML that takes the caller further after the agent ended with `handoff`, or None."""
        return None


async def each(capabilities: Sequence[Capability], hook: str, *args: Any) -> list[Any]:
    """What every capability's hook returned. One that raises is logged and left out."""
    results = []
    for capability in capabilities:
        try:
            result = getattr(capability, hook)(*args)
            results.append(await result if isinstance(result, Awaitable) else result)
        except Exception:
            log.exception("capability.failed", capability=type(capability).__name__, hook=hook)
    return results
