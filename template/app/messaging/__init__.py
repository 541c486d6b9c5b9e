"""The messaging channel: SMS, WhatsApp, RCS and chat, answered by the same brain and memory as calls.

Messages arrive as webhooks of Conversation Orchestrator and are sent as its Actions. TAC 2.5 has this too, but loses
replies that it fails to send, answers human agents, and detects duplicates only within one process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

import structlog
from fastapi import FastAPI, Request, Response
from pydantic import Field, ValidationError
from pydantic_ai.messages import ModelResponse, TextPart

from app import config
from app.brain import Brain
from app.capability import Background, Capability, Services, attach, run_hooks, with_added_words
from app.channel import Channel, signed_body
from app.connection import Connection, NotSupported
from app.limits import bill
from app.messaging.automatic import AutomaticSenders
from app.messaging.inbox import Change, Inbox, Message, bare
from app.messaging.opt_out import OptedOut, OptOuts
from app.messaging.outbox import BetweenTurns, Outbox, TextConnection
from app.messaging.texts import texts
from app.number_settings import NumberSettings
from app.session import ENDED, Session
from app.twilio_api import OrchestratorSettings, twilio_client

log = structlog.get_logger()

DAY = 24 * 3600.0  # seconds
WEEK = 7 * DAY
UNSEEN = "[They also sent a file, which you cannot see.]"
STATE_KEY = "messaging"  # in session.state: "human" when a human has the conversation


class MessagingSettings(OrchestratorSettings, NumberSettings):
    whatsapp_number: str | None = Field(
        None,
        alias="TWILIO_WHATSAPP_NUMBER",
        pattern=r"^(whatsapp:)?\+[1-9]\d{6,14}$",
        description="Write the number of your WhatsApp sender, as in +15005550001, or leave it out.",
    )
    whatsapp_template: str | None = Field(
        None,
        alias="AGENT_WHATSAPP_TEMPLATE",
        pattern=r"^HX[0-9a-fA-F]{32}$",
        description="Write the SID (HX…) of an approved WhatsApp template whose variable 1 takes a text.",
    )
    rcs_sender: str | None = Field(
        None,
        alias="TWILIO_RCS_SENDER_ID",
        pattern=r"^(rcs:)?[A-Za-z0-9_+]+$",
        description="Write the id of your RCS sender, as in brand_acme_agent, or leave it out.",
    )
    chat_identity: str = Field(
        "ai-assistant", alias="AGENT_CHAT_IDENTITY", description="Write the agent's name in chats, as in ai-assistant."
    )
    text_pause: float = Field(
        1.0,
        alias="AGENT_TEXT_PAUSE",
        ge=0,
        le=30,
        examples=[0.0],
        description="Write how many seconds to wait for more messages before answering, 0 to 30.",
    )

    text_repeats: int = Field(
        5,
        alias="AGENT_TEXT_REPEATS",
        ge=0,
        description="Write how many texts in a row that are alike are answered, 0 for all.",
    )
    text_limit: int = Field(
        30,
        alias="AGENT_TEXT_LIMIT",
        ge=0,
        le=1000,
        description="Write how many messages of a conversation are answered in ten minutes, up to 1000, 0 for all.",
    )

    @property
    def addresses(self) -> dict[str, str]:
        """The agent's own address in each channel, as Twilio writes it."""
        addresses = {"SMS": self.phone_number, "CHAT": self.chat_identity}
        if self.whatsapp_number:
            addresses["WHATSAPP"] = f"whatsapp:{bare(self.whatsapp_number)}"
        if self.rcs_sender:
            addresses["RCS"] = f"rcs:{bare(self.rcs_sender)}"
        return addresses


class Messaging(Channel):
    """`counts` has counters of messages: received, answered, left to a human, automatic, opted out, failed."""

    name = "messaging"
    signed_path = "/webhooks/conversations"
    settings = MessagingSettings

    def __init__(self, services: Services, brain: Brain, outbox: Outbox) -> None:
        settings: MessagingSettings = services.settings
        self.services = services
        self.brain = brain
        self.options = settings
        self.store = services.store
        self.sessions = services.sessions
        self.now = services.now
        self.outbox = outbox
        self.opt_outs = outbox.opt_outs
        outbox.introduction = with_added_words(outbox.introduction, services.capabilities)
        self.inbox = Inbox(services.store, settings.text_pause)
        self.automatic_senders = AutomaticSenders(services)
        self.counts: Counter[str] = Counter()
        self._body = signed_body(settings)
        self.working = Background()  # tasks that answer received messages

    @classmethod
    def build(cls, services: Services, brain: Brain) -> Self:
        settings: MessagingSettings = services.settings
        twilio, opt_outs = twilio_client(settings, services.transport), OptOuts(services)
        return cls(services, brain, Outbox(twilio, settings.addresses, opt_outs, settings.whatsapp_template))

    def connect(self, app: FastAPI) -> None:
        app.add_api_route("/webhooks/conversations", self.webhook, methods=["POST"])

    @property
    def active(self) -> int:
        """The number of webhooks in progress."""
        return len(self.working)

    async def connection_to(self, session: Session) -> Connection | None:
        if session.id != session.conversation_id or await self.sessions.owner(session.id) in (None, ENDED):
            return None
        return BetweenTurns(session.id, self.write, self.update_state)

    async def close(self) -> None:
        """Answer the received messages: Twilio does not send them again."""
        if late := await self.working.finish(self.services.timeouts.shutdown - 1):
            log.error("text.unanswered", count=late, reason="the server stopped")
            self.services.count("turn_lost", channel=self.name, reason="shutdown")

    # --- webhooks ----------------------------------------------------------------------------------------------

    async def webhook(self, request: Request) -> Response:
        """Responds at once, with 200 even for an unreadable payload: Twilio would send the same one again."""
        body = await self._body(request)
        self.working.start(self._receive(body, request.headers.get("i-twilio-idempotency-token")))
        return Response()

    async def _receive(self, body: Mapping[str, Any], token: str | None) -> None:
        try:
            conversation_id = await self._route(body, token)
            if conversation_id:
                await self._answer_all(conversation_id)
        except ValidationError as errors:
            fields = ", ".join(".".join(map(str, error["loc"])) for error in errors.errors())
            log.error("text.unreadable", fields=fields)
        except Exception:
            log.exception("text.failed")

    async def _route(self, body: Mapping[str, Any], token: str | None) -> str | None:
        """Queue a message or an end. Returns its conversation id, None when it is not for this agent."""
        data = body.get("data") or {}
        ours = self.options.conversation_configuration_id
        if isinstance(data, dict) and data.get("configurationId", ours) != ours:
            return None
        if body.get("eventType") == "CONVERSATION_UPDATED":
            change = Change.model_validate(data)
            if change.status != "CLOSED" or await self.sessions.owner(change.id) in (None, ENDED):
                return None
            await self.inbox.put(change.id, None)
            return change.id
        if body.get("eventType") != "COMMUNICATION_CREATED":
            return None
        message = Message.model_validate(data)
        if not self._is_for_us(message):
            return None
        tokens = {message.id, token or message.id}
        if not all([await self.store.claim(f"text-seen:{token}", DAY) for token in tokens]):
            return None
        admitted = await self.opt_outs.admits(message)
        self.counts["received"] += 1
        if not admitted:
            self.counts["opted out"] += 1
            return None
        await self.inbox.put(message.conversation_id, message)
        return message.conversation_id

    def _is_for_us(self, message: Message) -> bool:
        """False for transcripts of calls, and for the agent's own messages."""
        channel = message.author.channel
        if channel == "VOICE" or (message.content and message.content.type == "TRANSCRIPTION"):
            return False
        own = self.options.addresses.get(channel)
        if own is None:
            log.warning("text.ignored", channel=channel, hint="the agent has no address in this channel; see .env")
            return False
        return bare(message.author.address) != bare(own)

    # --- a conversation --------------------------------------------------------------------------------------------

    async def _answer_all(self, conversation_id: str) -> None:
        """Answer queued messages, and handle an end, until the queue is empty."""
        async with self.inbox.turn(conversation_id):
            while True:
                messages, closed = await self.inbox.take(conversation_id)
                if messages:
                    await self._log_failure_of(self._answer(messages), len(messages))
                if closed:
                    await self._log_failure_of(self._end(conversation_id))
                if not messages and not closed:
                    return

    async def _log_failure_of(self, work: Awaitable[None], count: int = 0) -> None:
        try:
            await work
        except OptedOut:
            self.counts["opted out"] += count
            log.info("text.not_sent", reason="the customer has opted out")
        except Exception as error:  # the error's text may quote an address
            self.counts["failed"] += count
            self.services.count("turn_lost", channel=self.name, reason="failed")
            log.error("text.failed", error=type(error).__name__, status=getattr(error, "status", None))

    async def _answer(self, messages: list[Message]) -> None:
        """Answer messages that arrived together with one reply, unless a human has the conversation."""
        participants = await self.outbox.participants(messages[0].conversation_id)
        authors = [(message, participants.author(message)) for message in messages]
        session, is_new = await self._session(messages[-1])
        if session is None:
            return
        if any(author and author.type == "HUMAN_AGENT" for _, author in authors):
            session.state[STATE_KEY] = "human"
            await self._save(session)
        written = [message for message, author in authors if not author or author.type in ("CUSTOMER", "UNKNOWN")]
        unanswered = [message for message in written if message.author.can_be_answered]
        if len(unanswered) < len(written):
            log.warning("text.ignored", conversation=session.id, reason="no SMS can be sent to the sender")
        unanswered = [message for message in unanswered if not message.is_blank]
        if not unanswered:
            return
        known = session.caller
        set_customer(session, unanswered[-1])
        if session.state.get(STATE_KEY) == "human" or any(await self._run(Capability.is_with_human, session)):
            self._left_to_human(session, len(unanswered))
            if session.caller != known:  # the human wrote first
                await self._save(session)
            return
        last = unanswered[-1]
        if await self.opt_outs.since(last.author.channel, last.author.address, last.conversation_id):
            raise OptedOut("answer")  # by a STOP that came while these messages waited
        route = await self.outbox.route(last, participants)
        customer = participants.author(last)
        session.profile_id = (customer and customer.profile_id) or session.profile_id
        if is_new:
            await self._save(session)  # so that reactions can load it and send a message
        session.connection = connection = TextConnection(self.outbox, route, session)
        await attach(session, self.services)
        if await self.automatic_senders.is_one(session, unanswered):
            self.counts["automatic"] += len(unanswered)
            await self._save(session)
            return
        await self._run(Capability.on_start if is_new else Capability.on_resume, session)
        try:
            await self._turn(session, connection, unanswered)
        finally:
            connection.open = False
            self.brain.commit_turn(session)
            await self._save(session)

    async def _turn(self, session: Session, connection: TextConnection, messages: list[Message]) -> None:
        lines = [message.text for message in messages if message.text]
        if not lines:
            await session.say(texts.NO_MEDIA)
            self.counts["answered"] += len(messages)
            return
        if len(lines) < len(messages):
            lines.append(UNSEEN)
        tokens = [token async for token in self.brain.reply(session, "\n".join(lines))]
        reply = "".join([*tokens, connection.appended_text]).strip()
        try:
            if reply:
                await connection.say(reply)
        except Exception:
            self.brain.interrupted(session, "")  # the reply was not sent
            raise
        if not reply and session.turn and session.turn.stopped:  # an escalation has begun
            self._left_to_human(session, len(messages))
            return
        self.counts["answered"] += len(messages)
        log.info("text.answered", conversation=session.id, messages=len(messages))

    def _left_to_human(self, session: Session, count: int) -> None:
        self.counts["left to a human"] += count
        log.info("text.left_to_human", conversation=session.id)

    async def write(self, conversation_id: str, text: str) -> None:
        """Send `text` after the turn in progress. Raises NotSupported when the conversation has ended."""
        async with self._between_turns(conversation_id, "say") as session:
            await self.outbox.say(session, await self.outbox.route_of(session), text)
            session.history.append(ModelResponse([TextPart(text)]))

    async def update_state(
        self, conversation_id: str, state: Mapping[str, Any], guidance: Sequence[str] | None
    ) -> None:
        """Merge `state` into the stored session after the turn in progress. `guidance` None keeps the old."""
        async with self._between_turns(conversation_id, "update_state") as session:
            session.state |= state
            session.guidance = session.guidance if guidance is None else [*guidance]

    @asynccontextmanager
    async def _between_turns(self, conversation_id: str, operation: str) -> AsyncGenerator[Session]:
        """The stored session, which is saved afterwards. Waits for the turn in progress. Raises NotSupported."""
        async with self.inbox.turn(conversation_id):
            session = await self._load(conversation_id)
            if session is None:
                raise NotSupported(operation)
            yield session
            await self._save(session)

    async def _end(self, conversation_id: str) -> None:
        session = await self._load(conversation_id)
        if session is None:
            return
        await self.sessions.end(conversation_id, DAY)
        await attach(session, self.services)
        await self._run(Capability.on_end, session, self.services.timeouts.shutdown)
        log.info("text.ended", conversation=conversation_id, **await bill(session.usage))

    # --- the stored session ----------------------------------------------------------------------------------------

    async def _session(self, message: Message) -> tuple[Session | None, bool]:
        """The session of a message, and whether it is new. None for a conversation that has ended."""
        id = message.conversation_id
        stored = await self.sessions.load(id)
        if stored is ENDED:
            log.warning("text.too_late", conversation=id)
            return None, False
        if stored:
            session = stored
        else:
            called = bare(self.options.addresses[message.author.channel])
            session = Session(id, "", called, language=config.FIRST_LANGUAGE, now=self.now, conversation_id=id)
            if not await self.store.get(f"conversation:{id}"):  # a call may have mapped it to its CallSid
                await self.store.put(f"conversation:{id}", id, WEEK)
        session.connection.spoken = False
        return session, stored is None

    async def _load(self, conversation_id: str) -> Session | None:
        """The session as it was saved. None when it is unknown or has ended."""
        session = await self.sessions.load(conversation_id)
        if session is None or session is ENDED:
            return None
        session.connection.spoken = False
        return session

    async def _save(self, session: Session) -> None:
        await self.sessions.save(session, WEEK)

    async def _run(self, hook: Callable[..., Any], session: Session, timeout: float | None = None) -> list[Any]:
        timeout = self.services.timeouts.hook if timeout is None else timeout
        return await run_hooks(self.services.capabilities, hook, session, timeout=timeout)


def set_customer(session: Session, message: Message) -> None:
    """Make the author of a customer's message the customer. A colleague or another customer may have written before."""
    channel, address = message.author.channel, bare(message.author.address)
    parameters = {"channel": channel, "thread": message.channel_id or ""}
    if channel == "CHAT":  # the application that opens the chat names the customer
        parameters["email" if "@" in address else "account_id"] = address
    if session.caller != address:
        session.profile_id = None
    session.caller, session.parameters = address, parameters
