"""Transfer of a text conversation: an Interaction of Twilio Flex, which creates a task of TaskRouter.

The agent tells the customer about the transfer, and once more when the customer writes before a worker accepts; then it
is silent. After acceptance it stays silent until the worker completes the task, which closes the conversation: the next
message begins a new one. When no worker accepts, or Flex refuses, the agent tells the customer and answers again.

Sources, read in November 2026: https://www.twilio.com/docs/flex/developer/conversations/interactions-api/interactions
and https://www.twilio.com/docs/conversations/orchestrator/guides/classic-bridge. Not tried with an account.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx2
import structlog
from pydantic import Field
from twilio.base.exceptions import TwilioRestException
from twilio.rest.conversations.v2.conversation import ConversationList

from app.capability import Services, attach
from app.escalation.handoff import handoff
from app.escalation.record import TEXT_TTL, Record, Records, State
from app.escalation.transfer import CONNECT_GRACE, Transfer, customer_attributes, follow_up
from app.messaging import MessagingSettings
from app.session import ENDED, Session
from app.turn_end import cancel_model, is_in_turn, speak_in_turn
from app.twilio_api import twilio_client

log = structlog.get_logger()

# Orchestrator's channel -> Flex's. Flex has none for RCS: the human writes an SMS to the same phone, from the number.
CHANNELS = {"SMS": "sms", "WHATSAPP": "whatsapp", "RCS": "sms", "CHAT": "chat"}
FAILED_STATES = {State.TIMED_OUT, State.NO_WORKER_AVAILABLE, State.ABANDONED}  # the agent answers again
MUTED_STATES = {State.ACCEPTED, State.COMPLETED}  # the agent is silent until Twilio closes the conversation
RETRY_DELAYS = (1.0, 3.0)  # seconds before each further attempt, after a 429
EVENT_WAIT = 3.0  # seconds for an event to show that a request without a response created a task
NOTHING_CREATED = range(400, 500)  # statuses of a response after which there is no task


class FlexSettings(MessagingSettings):
    workspace_sid: str = Field(
        alias="TWILIO_WORKSPACE_SID",
        pattern="^WS[0-9a-f]{32}$",
        examples=["WS" + "0" * 32],
        description="Copy the SID of the TaskRouter workspace of Flex (WS and 32 characters).",
    )
    task_channel: str = Field(
        "chat",
        alias="AGENT_TASK_CHANNEL",
        pattern="^[A-Za-z0-9_-]+$",
        description="Write the unique name of the task channel that messages take in that workspace, as in chat.",
    )


class FlexTransfer(Transfer):
    """All state is in the store: any server process may receive the next message or event."""

    settings = FlexSettings
    spoken = False

    def __init__(self, services: Services, records: Records) -> None:
        super().__init__(services, records)
        self.services = services
        self.twilio = twilio_client(self.options, services.transport)
        self.longest_wait = timedelta(seconds=self.options.queue_timeout + CONNECT_GRACE)

    async def in_progress(self, session: Session) -> Record | None:
        record = await self.records.get(session.id)
        if record is None or record.state in FAILED_STATES:
            return None
        overdue = record.since is not None and session.now() - record.since > self.longest_wait
        if overdue and record.state not in MUTED_STATES:
            log.error(
                "escalation.no_events",
                call=session.id,
                hint="the workspace needs its event callback; see docs/develop.md",
            )
            await self._no_worker(session.id, record, State.TIMED_OUT)
            return None
        return record

    async def begin(self, session: Session, record: Record) -> bool:
        return await self.records.begin(session.id, record, replaceable=FAILED_STATES)

    async def save(self, session: Session, record: Record) -> None:
        await self.records.save_and_count(session.id, record)

    async def start_transfer(self, session: Session, record: Record) -> None:
        """Create the Interaction in the background, since Flex may need more time than a hook has. Only once: a second
        request would create a second task."""
        if await self.store.claim(f"interaction:{record.id}", TEXT_TTL):
            self.working.start(self._create_interaction(session, record))

    async def on_turn(self, session: Session, record: Record) -> None:
        turn = session.turn if is_in_turn(session) else None
        if record.state is State.REQUESTED:  # the server process that began it has not told the customer yet
            record.state = State.BRIEFING
            await self.save(session, record)
        if record.state not in MUTED_STATES:
            await self.start_transfer(session, record)  # the claim in it makes this idempotent
            if turn and await self.store.claim(f"reassured:{record.id}", TEXT_TTL):
                await speak_in_turn(session, turn, handoff.WAITING_IN_WRITING)
        cancel_model(turn)

    async def is_with_human(self, session: Session) -> bool:
        record = await self.records.get(session.id)
        return record is not None and record.state in MUTED_STATES

    async def on_event(self, session_id: str, record: Record) -> None:
        if record.state in (State.TIMED_OUT, State.NO_WORKER_AVAILABLE):
            await self._no_worker(session_id, record, record.state)
        elif record.state is State.COMPLETED and await self.store.claim(f"finished:{record.id}", TEXT_TTL):
            self.working.start(self._close(session_id))

    async def on_end(self, session: Session) -> None:
        """Mark as abandoned: Twilio closed the conversation before a worker accepted."""
        record = await self.records.get(session.id)
        if record and record.state not in MUTED_STATES:
            await self.records.move(session.id, State.ABANDONED, record.id)

    async def close(self) -> None:
        if late := await self.working.finish(self.services.timeouts.shutdown - 2):
            log.error("escalation.unfinished", count=late, reason="the server stopped")
        await self.twilio.http_client.close()

    # --- Flex -------------------------------------------------------------------------------------------------------

    async def _create_interaction(self, session: Session, record: Record) -> None:
        """Create the Interaction, and with it the task. Tell the customer when there is no task afterwards."""
        try:
            await self._request_interaction(session, record)
        except Exception as error:  # the error's text may quote an address
            status = getattr(error, "status", None)
            log.error("interaction.failed", call=session.id, error=type(error).__name__, status=status)
            if isinstance(error, httpx2.TransportError) or (status and status not in NOTHING_CREATED):
                await asyncio.sleep(EVENT_WAIT)
                current = await self.records.get(session.id)
                if current and current.state is not State.BRIEFING:  # an event of its task has come
                    return
            await self._no_worker(session.id, record, State.NO_WORKER_AVAILABLE)
            return
        await self.records.move(session.id, State.QUEUED, record.id)

    async def _request_interaction(self, session: Session, record: Record) -> None:
        """Raises TwilioRestException or httpx2.TransportError. Only a 429 is retried: after it there is no task."""
        attributes = {
            **record.payload.attributes(),
            **customer_attributes(session.caller),
            "escalation_id": record.id,
        }
        routing = {
            "workspace_sid": self.options.workspace_sid,
            "workflow_sid": self.options.workflow_sid,
            "task_channel_unique_name": self.options.task_channel,
            "priority": record.payload.routing_hints.priority,
            "timeout": self.options.queue_timeout,
            "attributes": attributes,
        }
        interactions, channel = self.twilio.flex_api.v1.interaction, channel_of(session, self.options.addresses)
        for pause in RETRY_DELAYS:
            try:
                await interactions.create_async(channel=channel, routing={"properties": routing})
                return
            except TwilioRestException as error:
                if error.status != 429:
                    raise
            await asyncio.sleep(pause)
        await interactions.create_async(channel=channel, routing={"properties": routing})

    async def _close(self, conversation_id: str) -> None:
        """Close the conversation after its task is completed. A call with the same conversation closes it itself."""
        if await self.store.get(f"conversation:{conversation_id}") != conversation_id:
            return
        closed = ConversationList.PatchConversationByIdRequest({"status": "CLOSED"})
        try:
            await self.twilio.conversations.v2.conversations(conversation_id).patch_async(closed)
        except (TwilioRestException, httpx2.TransportError) as error:  # Twilio closes it after a time without messages
            status = getattr(error, "status", None)
            log.warning("conversation.close_failed", call=conversation_id, error=type(error).__name__, status=status)

    # --- no worker --------------------------------------------------------------------------------------------------

    async def _no_worker(self, session_id: str, record: Record, state: State) -> None:
        """Save that no worker accepted, and tell the customer once for each escalation."""
        await self.records.move(session_id, state, record.id)
        if await self.store.claim(f"no-worker:{record.id}", TEXT_TTL):
            self.working.start(self._tell_customer(session_id))

    async def _tell_customer(self, session_id: str) -> None:
        log.warning("escalation.no_worker", call=session_id)
        session = await self._session(session_id)
        record = await self.records.update_fields(session_id, way_out="callback")
        try:
            if session and session.connection.open:
                await session.say(f"{handoff.NO_WORKER} {handoff.LATER}")
        except Exception as error:
            log.error("escalation.not_announced", call=session_id, error=type(error).__name__)
        await follow_up(session_id, session.caller if session else "", record, None)

    async def _session(self, session_id: str) -> Session | None:
        """The stored session with a connection. None when it is unknown or has ended."""
        session = await self.services.sessions.load(session_id)
        if session is None or session is ENDED:
            return None
        await attach(session, self.services)
        return session


def channel_of(session: Session, addresses: dict[str, str]) -> dict[str, Any]:
    """The Interaction's channel. `addresses` are the agent's, by channel.

    Flex writes only in conversations of the classic API: the one that Orchestrator's bridge delivers messages from, or
    else a new one for these two addresses.
    """
    channel, thread = session.parameters["channel"], session.parameters.get("thread", "")
    kind = CHANNELS[channel]
    if thread.startswith("CH") and channel != "RCS":
        return {"type": kind, "initiated_by": "customer", "properties": {"media_channel_sid": thread}}
    customer: dict[str, str] = {"identity": session.caller}
    if kind != "chat":
        prefix = "whatsapp:" if kind == "whatsapp" else ""
        proxy_address = addresses["SMS" if kind == "sms" else channel]
        customer = {"address": f"{prefix}{session.caller}", "proxy_address": proxy_address}
    return {"type": kind, "initiated_by": "api", "participants": [customer]}
