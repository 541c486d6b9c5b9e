"""Voice: phone calls over Twilio ConversationRelay. `tac/` or `relay/` carries them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from fastapi import FastAPI

from agent import phrases
from app.brain import Brain
from app.capability import Services
from app.channel import Channel
from app.connection import Connection
from app.voice.calls import Calls
from app.voice.connect_action import on_unhandled_error


class PhoneConnection(Connection):
    """The WebSocket of one call."""

    hold = phrases.HOLD
    apology = phrases.APOLOGY


class Voice(Channel):
    """Phone calls over ConversationRelay."""

    name = "voice"
    signed_path = "/connect-action"

    def __init__(self, services: Services, brain: Brain) -> None:
        self.services = services
        self.calls = Calls(brain, services)

    @classmethod
    def build(cls, services: Services, brain: Brain) -> Self:
        return cls(services, brain)

    def connect(self, app: FastAPI) -> None:
        app.add_exception_handler(Exception, on_unhandled_error)
        self.add_routes(app)

    @abstractmethod
    def add_routes(self, app: FastAPI) -> None:
        """`/twiml`, `/connect-action` and the WebSocket `/ws`."""

    @property
    def active(self) -> int:
        return self.calls.active

    async def close(self) -> None:
        await self.calls.end_all()
