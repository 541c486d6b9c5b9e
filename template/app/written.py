"""A project that people write to: no line is held, so a server that stops has only answers to finish."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from fastapi import FastAPI, Request, Response

from app.brain import Brain
from app.capability import Capability
from app.settings import Settings
from app.store import Store


class Conversations:
    """What `/healthz` tells, and what a server waits for that is told to stop."""

    def __init__(
        self, brain: Brain, capabilities: Sequence[Capability], store: Store, now: Callable[[], datetime]
    ) -> None:
        self.brain = brain
        self.capabilities = capabilities
        self.store = store
        self.draining = False

    @property
    def active(self) -> int:
        """How many messages are being answered."""
        return sum(capability.busy for capability in self.capabilities)

    async def end_all(self) -> None:
        """The server stops. A conversation in writing goes on when the next message comes, to whatever server."""


def connect(app: FastAPI, settings: Settings, conversations: Conversations) -> None:
    """Nothing beside the routes of the capabilities: messages come to a webhook of theirs."""


async def answer_a_defect(request: Request, error: Exception) -> Response:
    """The server logs the error all the same."""
    return Response(status_code=500)
