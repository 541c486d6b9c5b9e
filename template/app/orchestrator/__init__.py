"""Conversation Orchestrator: which conversation of Twilio's a call is, and whose."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

import structlog
from twilio.rest import Client
from twilio.rest.conversations.v2.conversation import ConversationList

from app.background import Background
from app.capability import Capability, Services
from app.session import Session
from app.store import Store
from app.twilio_api import OrchestratorSettings, list_all, twilio_client

log = structlog.get_logger()

# Seconds between two looks: a conversation can be listed 1 to 4 seconds after the call has been connected.
# Source: https://github.com/twilio/twilio-agent-connect-typescript/pull/90
LOOKUP_DELAYS = (0.5, 0.5, 1, 1, 1.5, 1.5, 2, 2, 2)
CLOSINGS = (0.0, 1.0, 3.0)  # seconds before each attempt to close a conversation
FOUR_HOURS = 4 * 3600  # seconds: the longest call
SHUTDOWN_TIMEOUT = 1.5  # seconds that closing may take when the server stops


class Orchestrator(Capability):
    """Links each call to its conversation in the background: a call goes on whether or not that is ever found."""

    settings = OrchestratorSettings
    spoken_only = True  # in writing, the conversation is known from the first message on

    def __init__(self, twilio: Client, store: Store, configuration_id: str) -> None:
        self.twilio = twilio
        self.store = store
        self.configuration_id = configuration_id
        self.linking: dict[str, asyncio.Task[None]] = {}
        self.closing = Background()

    @classmethod
    def build(cls, services: Services) -> Self:
        settings: OrchestratorSettings = services.settings
        twilio = twilio_client(settings, services.transport)
        return cls(twilio, services.store, settings.conversation_configuration_id)

    def relay_attributes(self) -> Mapping[str, str]:
        return {"conversation_configuration": self.configuration_id}

    async def on_start(self, session: Session) -> None:
        self.linking[session.id] = linking = asyncio.create_task(self._link(session, LOOKUP_DELAYS))
        linking.add_done_callback(lambda _: self.linking.pop(session.id, None))

    async def on_resume(self, session: Session) -> None:
        if session.conversation_id is None and session.id not in self.linking:
            await self.on_start(session)

    async def on_end(self, session: Session) -> None:
        """Close the conversation in the background: a caller may still be listening to Twilio."""
        linking = self.linking.get(session.id)
        if linking:
            linking.cancel()
        # A call can be over before its conversation is listed. One that was never found gets a last look.
        self.closing.start(self._close(session, (0, *LOOKUP_DELAYS) if linking else (0,)))

    async def close(self) -> None:
        """What is not closed now, Twilio closes after the timeouts of the conversation configuration."""
        await self.closing.finish(SHUTDOWN_TIMEOUT)
        for task in self.linking.values():
            task.cancel()
        await self.twilio.http_client.close()

    async def _link(self, session: Session, looks: Sequence[float]) -> None:
        for pause in looks:
            await asyncio.sleep(pause)
            try:
                if await self._look(session):
                    return
            except Exception as error:
                self._failed("conversation.lookup_failed", session, error)
        log.error("conversation.not_found", call=session.id, hint="TWILIO_CONVERSATION_CONFIGURATION_ID must exist")

    async def _look(self, session: Session) -> bool:
        api = self.twilio.conversations.v2
        found = await list_all(api.conversations, channel_id=session.id, status=["ACTIVE"])
        if not found or not found[0].id:
            return False
        conversation_id = found[0].id
        participants = await list_all(api.participants(conversation_id))
        profiles = [each.profile_id for each in participants if each.type == "CUSTOMER" and each.profile_id]
        session.profile_id = profiles[0] if profiles else session.profile_id
        await self.store.put(f"conversation:{conversation_id}", session.id, FOUR_HOURS)
        session.conversation_id = conversation_id
        return True

    async def _close(self, session: Session, looks: Sequence[float]) -> None:
        """Twilio extracts memory from closed conversations only."""
        if session.conversation_id is None:
            await self._link(session, looks)
        if session.conversation_id is None:
            return
        closed = ConversationList.PatchConversationByIdRequest({"status": "CLOSED"})
        for pause in CLOSINGS:
            await asyncio.sleep(pause)
            try:
                await self.twilio.conversations.v2.conversations(session.conversation_id).patch_async(closed)
                return
            except Exception as error:
                self._failed("conversation.close_failed", session, error)

    def _failed(self, event: str, session: Session, error: Exception) -> None:
        """Without the error's text, which may quote a phone number."""
        log.warning(event, call=session.id, error=type(error).__name__, status=getattr(error, "status", None))
