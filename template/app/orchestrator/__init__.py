"""Conversation Orchestrator: link each call to its conversation, and close that when the call ends."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Self

import structlog
from twilio.rest import Client
from twilio.rest.conversations.v2.conversation import ConversationList
from twilio.rest.conversations.v2.participant import ParticipantInstance

from app.capability import Background, Capability, Services
from app.connection import has_number
from app.session import Session
from app.store import Store
from app.twilio_api import OrchestratorSettings, list_all, twilio_client

log = structlog.get_logger()

MAX_CALL_DURATION = 4 * 3600  # seconds


class Orchestrator(Capability):
    """Links in the background: a call continues whether or not its conversation is found.

    Delays are seconds before each attempt. Tests override them.
    """

    settings = OrchestratorSettings
    spoken_only = True  # a message names its conversation
    # A conversation is listed 1 to 4 seconds after its call has been connected.
    # Source: https://github.com/twilio/twilio-agent-connect-typescript/pull/90
    lookup_delays: Sequence[float] = (0.5, 0.5, 1, 1, 1.5, 1.5, 2, 2, 2)
    close_delays: Sequence[float] = (0, 1, 3)
    shutdown_timeout = 1.5  # seconds for conversations that are being closed when the server stops

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
        self.linking[session.id] = linking = asyncio.create_task(self._link(session, self.lookup_delays))
        linking.add_done_callback(lambda _: self.linking.pop(session.id, None))

    async def on_resume(self, session: Session) -> None:
        if session.conversation_id is None and session.id not in self.linking:
            await self.on_start(session)

    async def on_end(self, session: Session) -> None:
        """Close the conversation in the background, since the caller may still be in a transfer."""
        linking = self.linking.get(session.id)
        if linking:
            linking.cancel()
        # A call may end before its conversation is listed. One that was looked up in vain gets one more attempt.
        self.closing.start(self._close(session, (0, *self.lookup_delays) if linking else (0,)))

    async def close(self) -> None:
        """Conversations that are not closed in time are closed by the timeouts of their configuration."""
        await self.closing.finish(self.shutdown_timeout)
        for task in self.linking.values():
            task.cancel()
        await self.twilio.http_client.close()

    async def _link(self, session: Session, delays: Sequence[float]) -> None:
        for delay in delays:
            await asyncio.sleep(delay)
            try:
                if await self._look_up(session):
                    return
            except Exception as error:
                self._log_failure("conversation.lookup_failed", session, error)
        log.error("conversation.not_found", call=session.id, hint="TWILIO_CONVERSATION_CONFIGURATION_ID must exist")

    async def _look_up(self, session: Session) -> bool:
        """Set the session's conversation and profile. False while the conversation is not listed."""
        api = self.twilio.conversations.v2
        found = await list_all(api.conversations, channel_id=session.id, status=["ACTIVE"])
        if not found or not found[0].id:
            return False
        conversation_id = found[0].id
        if has_number(session.caller):  # every caller with a withheld number may have the same profile at Twilio
            participants = await list_all(api.participants(conversation_id))
            session.profile_id = profile_of(session.caller, session.called, participants) or session.profile_id
        await self.store.put(f"conversation:{conversation_id}", session.id, MAX_CALL_DURATION)
        session.conversation_id = conversation_id
        return True

    async def _close(self, session: Session, delays: Sequence[float]) -> None:
        """Memory is extracted from closed conversations only."""
        if session.conversation_id is None:
            await self._link(session, delays)
        if session.conversation_id is None:
            return
        closed = ConversationList.PatchConversationByIdRequest({"status": "CLOSED"})
        for delay in self.close_delays:
            await asyncio.sleep(delay)
            try:
                await self.twilio.conversations.v2.conversations(session.conversation_id).patch_async(closed)
                return
            except Exception as error:
                self._log_failure("conversation.close_failed", session, error)

    def _log_failure(self, event: str, session: Session, error: Exception) -> None:
        """The error's text may quote a phone number and is left out."""
        log.warning(event, call=session.id, error=type(error).__name__, status=getattr(error, "status", None))


def profile_of(customer: str, agent: str, participants: Sequence[ParticipantInstance]) -> str | None:
    """The profile of the customer. On a call that the agent makes, its own number may have the type CUSTOMER."""
    named = [({each.get("address") for each in one.addresses or []}, one) for one in participants]
    others = [(addresses, one) for addresses, one in named if agent not in addresses]
    found = [one for addresses, one in others if customer in addresses]
    found += [one for _, one in others if one.type == "CUSTOMER"]
    return next((one.profile_id for one in found if one.profile_id), None)
