"""Conversation Orchestrator: which conversation of Twilio's a call is, and whose."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Self

import structlog
from pydantic import Field
from twilio.rest import Client
from twilio.rest.conversations.v2.conversation import ConversationList

from app.capability import Capability, Services
from app.session import Session
from app.store import Store
from app.twilio_api import ApiSettings, twilio_client

log = structlog.get_logger()

# Seconds between two looks: a conversation can be listed 1 to 4 seconds after the call has been connected.
# Source: https://github.com/twilio/twilio-agent-connect-typescript/pull/90
LOOKS = (0.5, 0.5, 1, 1, 1.5, 1.5, 2, 2, 2)
LONGEST = 4 * 3600  # seconds


class OrchestratorSettings(ApiSettings):
    conversation_configuration_id: str = Field(
        alias="TWILIO_CONVERSATION_CONFIGURATION_ID",
        pattern="^conv_configuration_[0-9a-z]{26}$",
        examples=["conv_configuration_" + "0" * 26],
        description="Copy the id of your conversation configuration (conv_configuration_ and 26 characters).",
    )


class Orchestrator(Capability):
    """Links each call to its conversation in the background: a call goes on whether or not that is ever found."""

    settings = OrchestratorSettings

    def __init__(self, twilio: Client, store: Store, configuration_id: str) -> None:
        self.twilio = twilio
        self.store = store
        self.configuration_id = configuration_id
        self.linking: dict[str, asyncio.Task[None]] = {}

    @classmethod
    def build(cls, services: Services) -> Self:
        settings: OrchestratorSettings = services.settings
        twilio = twilio_client(settings, services.transport)
        return cls(twilio, services.store, settings.conversation_configuration_id)

    def relay(self) -> Mapping[str, str]:
        return {"conversation_configuration": self.configuration_id}

    async def on_start(self, session: Session) -> None:
        self.linking[session.id] = asyncio.create_task(self._link(session))

    async def on_resume(self, session: Session) -> None:
        if session.conversation_id is None and session.id not in self.linking:
            await self.on_start(session)

    async def on_end(self, session: Session) -> None:
        """Close the conversation: Twilio extracts memory from closed ones only."""
        if task := self.linking.pop(session.id, None):
            task.cancel()
        if session.conversation_id is None:
            await self._look(session)
        if session.conversation_id:
            close = ConversationList.PatchConversationByIdRequest({"status": "CLOSED"})
            await self.twilio.conversations.v2.conversations(session.conversation_id).patch_async(close)

    async def _link(self, session: Session) -> None:
        for pause in LOOKS:
            await asyncio.sleep(pause)
            try:
                if await self._look(session):
                    return
            except Exception as error:
                log.warning("conversation.lookup_failed", call=session.id, error=type(error).__name__)
        log.error("conversation.not_found", call=session.id, hint="TWILIO_CONVERSATION_CONFIGURATION_ID must exist")

    async def _look(self, session: Session) -> bool:
        api = self.twilio.conversations.v2
        found = await api.conversations.list_async(channel_id=session.id, status=["ACTIVE"])
        if not found or not found[0].id:
            return False
        conversation_id = found[0].id
        participants = await api.participants(conversation_id).list_async()
        session.profile_id = next((each.profile_id for each in participants if each.type == "CUSTOMER"), None)
        await self.store.put(f"conversation:{conversation_id}", session.id, LONGEST)
        session.conversation_id = conversation_id
        return True
