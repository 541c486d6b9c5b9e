"""Outgoing messages: participants of a conversation, and Actions of Conversation Orchestrator."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import httpx2
import regex
import structlog
from twilio.base.exceptions import TwilioRestException
from twilio.rest import Client
from twilio.rest.conversations.v2.action import ActionList
from twilio.rest.conversations.v2.participant import ParticipantInstance, ParticipantList

from app.connection import Connection
from app.messaging.inbox import Message, bare
from app.messaging.opt_out import OPTED_OUT, Barred, OptedOut, OptOuts, OutsideWindow
from app.messaging.texts import texts
from app.session import Session
from app.twilio_api import list_all

log = structlog.get_logger()
T = TypeVar("T")

RETRY_DELAYS = (0.5, 2.0, 5.0)  # seconds before each further attempt
# Characters of an SMS or WhatsApp message, of which an emoji is at least two (UTF-16), as phones count them. Source:
# https://www.twilio.com/docs/api/errors/21617
LIMIT = 1600
TEMPLATE_LIMIT = 900  # characters of a variable: WhatsApp takes 1,024 of a template, its own words included
GRAPHEME = regex.compile(r"\X")
CONFLICT = 409  # HTTP status: the participant exists


@dataclass(frozen=True)
class Route:
    """Sender and recipient of a message, as participant ids. `thread` is the channel id that a chat needs.

    `address` is the customer's.
    """

    conversation_id: str
    channel: str
    agent: str
    customer: str
    address: str
    thread: str | None = None


class Participants:
    """The participants of a conversation."""

    def __init__(self, participants: list[ParticipantInstance]) -> None:
        self.participants = participants

    def at(self, channel: str, address: str) -> ParticipantInstance | None:
        return next((each for each in self.participants if has_address(each, channel, address)), None)

    def author(self, message: Message) -> ParticipantInstance | None:
        author = message.author
        named = next((each for each in self.participants if each.id == author.participant_id), None)
        return named or self.at(author.channel, author.address)


def has_address(participant: ParticipantInstance, channel: str, address: str) -> bool:
    addresses: list[Any] = participant.addresses or []
    return any(each["channel"] == channel and bare(each["address"]) == bare(address) for each in addresses)


class Outbox:
    """`addresses` are the agent's, by channel. Methods raise the last error when all attempts fail.

    `template` is the SID of a WhatsApp template with one variable, or None.
    """

    def __init__(
        self, twilio: Client, addresses: Mapping[str, str], opt_outs: OptOuts, template: str | None = None
    ) -> None:
        self.api = twilio.conversations.v2
        self.addresses = addresses
        self.opt_outs = opt_outs
        self.template = template
        self.introduction: str = texts.INTRODUCTION

    async def participants(self, conversation_id: str) -> Participants:
        return Participants(await attempt("participants", lambda: list_all(self.api.participants(conversation_id))))

    async def route(self, message: Message, participants: Participants) -> Route:
        """The route of a reply. Adds the agent when it is no participant; an author of type UNKNOWN becomes CUSTOMER.

        Raises LookupError when the author is no participant.
        """
        conversation_id, channel = message.conversation_id, message.author.channel
        customer = participants.author(message)
        customer_id = customer.id if customer else message.author.participant_id
        if customer_id is None:
            raise LookupError("the author is no participant")
        thread = message.channel_id if channel == "CHAT" else None
        agent = await self._agent(participants, conversation_id, channel, thread)
        for participant, kind in ((agent, "AI_AGENT"), (customer, "CUSTOMER")):
            if participant and participant.type == "UNKNOWN":
                await self._change_type(conversation_id, participant, kind)
        return Route(conversation_id, channel, str(agent.id), str(customer_id), message.author.address, thread)

    async def route_of(self, session: Session) -> Route:
        """The route to the customer of a stored session. Raises LookupError when the customer is no participant."""
        channel, thread = session.parameters.get("channel", ""), None  # "" before the customer has written
        participants = await self.participants(session.id)
        customer = participants.at(channel, session.caller)
        if customer is None:
            raise LookupError("the customer is no participant")
        if channel == "CHAT":
            thread = session.parameters.get("thread")
        agent = await self._agent(participants, session.id, channel, thread)
        return Route(session.id, channel, str(agent.id), str(customer.id), session.caller, thread)

    async def _agent(
        self, participants: Participants, conversation_id: str, channel: str, thread: str | None
    ) -> ParticipantInstance:
        """The agent as a participant. Adds it when it is none."""
        if agent := participants.at(channel, self.addresses[channel]):
            return agent
        own: dict[str, Any] = {"channel": channel, "address": self.addresses[channel]}
        if channel == "CHAT":
            own["channelId"] = thread
        request = ParticipantList.CreateParticipantInConversationRequest({"type": "AI_AGENT", "addresses": [own]})
        try:
            created: ParticipantInstance = await attempt(
                "join", lambda: self.api.participants(conversation_id).create_async(request)
            )
        except TwilioRestException as error:
            if error.status != CONFLICT:
                raise
            participants = await self.participants(conversation_id)  # another worker has added the agent
            if (found := participants.at(channel, self.addresses[channel])) is None:
                raise
            return found
        return created

    async def _change_type(self, conversation_id: str, participant: ParticipantInstance, kind: str) -> None:
        """Change the type of a participant. An error is only logged: the reply does not need the change."""
        addresses, profile = participant.addresses, participant.profile_id
        fields = {"type": kind, "name": participant.name, "addresses": addresses, "profileId": profile}
        request = ParticipantList.UpdateParticipantInConversationRequest(fields)  # replaces every field
        try:
            changed = self.api.participants(conversation_id)
            updated = await attempt("change type", lambda: changed.get(participant.id).update_async(request))
            participant.profile_id = updated.profile_id or profile
        except (TwilioRestException, httpx2.TransportError) as error:
            log.warning("text.role_kept", conversation=conversation_id, status=getattr(error, "status", None))

    async def say(self, session: Session, route: Route, text: str) -> None:
        """Send `text`. The agent's first message introduces it; until then the session has no greeting."""
        await self.send(route, text if session.greeting else f"{self.introduction}\n{text}".strip())
        session.greeting = session.greeting or self.introduction

    async def send(self, route: Route, text: str) -> None:
        """Send `text`, split into messages of at most LIMIT characters, or in a template where WhatsApp wants one.

        Raises OptedOut, OutsideWindow and Barred.
        """
        template = not await self.opt_outs.in_window(route.channel, route.address)
        for part in [text] if template and text else split(text):
            if await self.opt_outs.since(route.channel, route.address, route.conversation_id):
                raise OptedOut("say: the customer has opted out")
            content = await self.in_template(route, part) if template else {"text": part}
            payload: dict[str, Any] = {
                "from": {"participantId": route.agent, "channel": route.channel},
                "to": [{"participantId": route.customer, "channel": route.channel}],
                "content": content,
            }
            if route.thread:
                payload["channelSettings"] = {"channelId": route.thread}
            action = ActionList.CreateConversationActionRequest({"type": "SEND_MESSAGE", "payload": payload})
            try:
                await attempt(
                    "send", partial(self.api.actions(route.conversation_id).create_async, action), httpx2.ReadTimeout
                )
            except httpx2.ReadTimeout:  # Twilio may have sent it: a second request would send it twice
                log.warning("text.unconfirmed", conversation=route.conversation_id)
            except TwilioRestException as error:
                if error.code != OPTED_OUT:
                    raise
                await self.opt_outs.record(route.channel, route.address, route.conversation_id)
                log.info("text.opted_out", conversation=route.conversation_id, by="twilio")
                raise OptedOut("say: the customer has opted out, says Twilio") from None

    async def in_template(self, route: Route, text: str) -> dict[str, Any]:
        """The content that begins a conversation on WhatsApp: an approved template. `contentId` and `variables` are as
        twilio 9.13 has them (SendMessageContent of Actions); https://www.twilio.com/docs/api/errors/63016 (2026-11-29).
        """
        line = " ".join(text.split())  # a variable has no line breaks
        if self.template is None:
            raise OutsideWindow("say: the customer has not written on WhatsApp in the last 24 hours")
        if len(line) > TEMPLATE_LIMIT:
            raise OutsideWindow(f"say: {len(line)} characters; a template takes {TEMPLATE_LIMIT} of them")
        if reason := await self.opt_outs.bars(route.address):
            raise Barred(f"say: no message may begin now ({reason})")
        return {"contentId": self.template, "variables": {"1": line}}


async def attempt(request: str, send: Callable[[], Awaitable[T]], unless: type[Exception] | tuple[()] = ()) -> T:
    """Call `send`, and again after a 429, a 5xx or a network error. Raises other errors, and `unless`, at once."""
    for pause in RETRY_DELAYS:
        try:
            return await send()
        except unless:
            raise
        except (TwilioRestException, httpx2.TransportError) as error:
            status = getattr(error, "status", None)
            if status is not None and status != 429 and status < 500:
                raise
            log.warning("text.request_failed", request=request, error=type(error).__name__, status=status)
        await asyncio.sleep(pause)
    return await send()


def split(text: str, limit: int = LIMIT) -> list[str]:
    """Messages of at most `limit` units of UTF-16: split after a sentence, else between words, else between characters
    as people see them. Only a character that exceeds the limit alone is cut: a letter with hundreds of accents."""
    found = []
    while units(text) > limit:
        head = beginning(text, limit)
        before = text[: len(head) + 1]
        ends = [
            before.rfind(end) + len(end.rstrip()) for end in (". ", "! ", "? ", "\n", "。", "！", "？") if end in before
        ]
        ends = [end for end in ends if len(head) / 2 < end <= len(head) and len(GRAPHEME.match(text, end - 1)[0]) == 1]
        at = max(ends, default=0) or before.rfind(" ")
        at = at if at > 0 else len(head)
        found.append(text[:at].strip())
        text = text[at:].strip()
    return [part for part in [*found, text] if part]


def units(text: str) -> int:
    return len(text) + sum(char > "\uffff" for char in text)


def beginning(text: str, limit: int) -> str:
    """As many whole grapheme clusters as fit, at least one code point."""
    at = size = 0
    for cluster in GRAPHEME.finditer(text):
        if (size := size + units(cluster[0])) > limit:
            break
        at = cluster.end()
    return text[: at or max(1, limit // 2)]


class TextConnection(Connection):
    """A text conversation during a turn."""

    spoken = False
    hold = ""
    apology = texts.APOLOGY
    busy = texts.BUSY
    instructions = texts.WRITING

    def __init__(self, outbox: Outbox, route: Route, session: Session) -> None:
        self.outbox = outbox
        self.route = route
        self.session = session
        self.reader = "shown" if route.channel == "CHAT" else "written"
        self.appended_text = ""  # follows the model's text in the same message

    async def say(self, text: str, interruptible: bool = True) -> None:
        await self.outbox.say(self.session, self.route, text)

    async def append_to_turn(self, text: str) -> None:
        self.appended_text += text

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        """Nothing to hang up: Twilio closes the conversation after a time without messages."""
        self.session.ending = True


class BetweenTurns(Connection):
    """A text conversation outside a turn. `say` and `update_state` wait for the turn in progress."""

    spoken = False
    hold = ""
    apology = texts.APOLOGY
    busy = texts.BUSY
    instructions = texts.WRITING

    def __init__(
        self, conversation_id: str, write: Callable[..., Awaitable[None]], update: Callable[..., Awaitable[None]]
    ) -> None:
        self.conversation_id = conversation_id
        self.write = write
        self.update = update

    async def say(self, text: str, interruptible: bool = True) -> None:
        await self.write(self.conversation_id, text)

    async def update_state(self, state: Mapping[str, Any], guidance: Sequence[str] | None) -> None:
        await self.update(self.conversation_id, state, guidance)

    async def end(self, handoff: Mapping[str, Any] | None = None) -> None:
        """Nothing to hang up."""
