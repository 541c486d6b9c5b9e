"""Conversation Orchestrator (Conversations v2)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.capability import Background
from kit.activity import is_busy, wait_until
from kit.defaults import ACCOUNT_SID, Problem, settings
from kit.simulated_twilio.memory import Memory
from kit.simulated_twilio.product import (
    Answer,
    ApiError,
    BadRequest,
    Product,
    Request,
    get,
    identifier,
    route,
    sid,
    timestamp,
)

PATH = "/webhooks/conversations"
LONGEST_TEXT = 1600  # characters
VISIBLE_AFTER = 2.0  # seconds until a new conversation is listed; 1 to 4 were measured


@dataclass
class Conversations(Product):
    """`records` maps ids to conversations. `memory` has the profiles of the customers."""

    host = "conversations.twilio.com"
    setting = "conversation_configuration_id"
    memory: Memory = field(kw_only=True)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)
    people: dict[str, list[dict[str, Any]]] = field(default_factory=dict)  # participants, by conversation
    visible_at: dict[str, float] = field(default_factory=dict)  # by conversation
    messages: list[dict[str, Any]] = field(default_factory=list)  # all, in order
    sent: list[dict[str, Any]] = field(default_factory=list)  # the messages that an Action has sent
    contents: list[dict[str, Any]] = field(default_factory=list)  # of these messages, as the Action had them
    refusals: list[int] = field(default_factory=list)  # status codes of the next Actions
    blocked: set[str] = field(default_factory=set)  # numbers that have sent STOP to another program: error 21610
    roles: dict[str, str] = field(default_factory=dict)  # by captured address; CUSTOMER by default
    subscriber: Callable[[dict[str, Any]], Awaitable[Any]] | None = None  # receives the webhooks
    deliveries: Background = field(default_factory=Background)

    def begin(self, configuration: str, channel: str, channel_id: str, customer: str, agent: str) -> str:
        """Create the conversation of a call or of a first message, unless there is one. Returns its id."""
        known = [each["id"] for each in self.records.values() if each["channelId"] == channel_id]
        if known:
            return str(known[0])
        conversation = identifier("conv_conversation", len(self.records) + 1)
        self.records[conversation] = {
            "id": conversation,
            "accountId": ACCOUNT_SID,
            "configurationId": configuration,
            "status": "ACTIVE",
            "channelId": channel_id,
        }
        self.visible_at[conversation] = self.clock.now() + VISIBLE_AFTER
        self.people[conversation] = []
        for kind, address in (("CUSTOMER", customer), ("AI_AGENT", agent)):
            # Others than phone numbers get none; a withheld number looks like one (error 530001 of Twilio's docs).
            resolved = kind == "CUSTOMER" and re.fullmatch(r"\+\d+", bare(address))
            profile = self.memory.resolve(bare(address)) if resolved else None
            self.join(conversation, kind, channel, address, profileId=profile)["addresses"][0]["channelId"] = channel_id
        return conversation

    def of(self, channel_id: str) -> dict[str, Any]:
        """The conversation of a call, or of the first message in a channel."""
        return next(each for each in self.records.values() if each["channelId"] == channel_id)

    def join(self, conversation: str, kind: str, channel: str, address: str, **fields: Any) -> dict[str, Any]:
        """Add a participant."""
        person = {
            "id": identifier("conv_participant", 10 + sum(map(len, self.people.values()))),
            "conversationId": conversation,
            "accountId": ACCOUNT_SID,
            "name": kind.lower(),
            "type": kind,
            "profileId": None,
            "addresses": [{"channel": channel, "address": address}],
            **fields,
        }
        self.people[conversation].append(person)
        return person

    @route("GET", "/v2/Conversations")
    async def list(self, request: Request) -> Answer:
        """The list holds partial objects."""
        now = self.clock.now()
        found = [
            {name: each[name] for name in ("id", "accountId", "status")}
            for id, each in self.records.items()
            if now >= self.visible_at[id]
            and each["channelId"] == request.query.get("channelId", each["channelId"])
            and each["status"] == request.query.get("status", each["status"])
        ]
        return 200, self.page(request, "conversations", found)

    @route("GET", "/v2/Conversations/{conversation}")
    async def fetch(self, request: Request, conversation: str) -> Answer:
        return 200, get(self.records, conversation)

    @route("PATCH", "/v2/Conversations/{conversation}")
    @route("PUT", "/v2/Conversations/{conversation}")
    async def change(self, request: Request, conversation: str) -> Answer:
        known = get(self.records, conversation)
        closes = known["status"] != "CLOSED" and request.body.get("status") == "CLOSED"
        known.update(request.body)
        if closes:
            self.tell("CONVERSATION_UPDATED", known)
            self.memory.extract(bare(self.people[conversation][0]["addresses"][0]["address"]))
        return 200, known

    @route("DELETE", "/v2/Conversations/{conversation}")
    async def delete(self, request: Request, conversation: str) -> Answer:
        """The participants and messages go with it."""
        del self.records[get(self.records, conversation)["id"]], self.people[conversation]
        self.messages = [each for each in self.messages if each["conversationId"] != conversation]
        return 202, None

    @route("GET", "/v2/Conversations/{conversation}/Communications")
    async def communications(self, request: Request, conversation: str) -> Answer:
        get(self.records, conversation)
        found = [each for each in self.messages if each["conversationId"] == conversation]
        return 200, self.page(request, "communications", found)

    @route("GET", "/v2/Conversations/{conversation}/Participants")
    async def participants(self, request: Request, conversation: str) -> Answer:
        get(self.records, conversation)
        return 200, self.page(request, "participants", self.people[conversation])

    @route("POST", "/v2/Conversations/{conversation}/Participants")
    async def create_participant(self, request: Request, conversation: str) -> Answer:
        """409 for an address of another participant."""
        get(self.records, conversation)
        wanted = [(each["channel"], each["address"]) for each in request.body["addresses"]]
        taken = [(each["channel"], each["address"]) for one in self.people[conversation] for each in one["addresses"]]
        if set(wanted) & set(taken):
            raise ApiError(409, "the address is taken")
        return 201, self.join(conversation, request.body["type"], *wanted[0])

    @route("PUT", "/v2/Conversations/{conversation}/Participants/{id}")
    async def replace_participant(self, request: Request, conversation: str, id: str) -> Answer:
        """A customer gets a profile."""
        person = get({each["id"]: each for each in self.people[get(self.records, conversation)["id"]]}, id)
        person |= {name: request.body.get(name) for name in ("name", "type", "profileId", "addresses")}
        if person["type"] == "CUSTOMER":
            person["profileId"] = person["profileId"] or self.memory.resolve(bare(person["addresses"][0]["address"]))
        return 200, person

    @route("POST", "/v2/Conversations/{conversation}/Actions")
    async def act(self, request: Request, conversation: str) -> Answer:
        """Send a message. It comes back as a webhook, as every message does."""
        known, people = get(self.records, conversation), {each["id"]: each for each in self.people[conversation]}
        if self.refusals:
            raise ApiError(self.refusals.pop(0), "injected", 20500)
        payload = request.body["payload"]
        sender, recipients = payload["from"], payload["to"]
        text = text_of(payload["content"])
        if request.body["type"] != "SEND_MESSAGE" or known["status"] == "CLOSED":
            raise BadRequest("only messages, and only while the conversation is open")
        if not {each["participantId"] for each in [sender, *recipients]} <= people.keys():
            raise BadRequest("the sender or a recipient does not take part")
        if any(bare(people[each["participantId"]]["addresses"][0]["address"]) in self.blocked for each in recipients):
            raise ApiError(400, "the recipient has opted out", 21610)
        if not 1 <= len(text) <= LONGEST_TEXT:
            raise BadRequest(f"1 to {LONGEST_TEXT} characters")
        if sender["channel"] == "CHAT" and not (payload.get("channelSettings") or {}).get("channelId"):
            raise BadRequest("a chat needs channelSettings.channelId")
        message = self._message(conversation, people[sender["participantId"]], sender["channel"], text)
        message["recipients"] = [
            {
                "address": people[each["participantId"]]["addresses"][0]["address"],
                "channel": each["channel"],
                "participantId": each["participantId"],
                "deliveryStatus": "INITIATED",
            }
            for each in recipients
        ]
        self.sent.append(message)
        self.contents.append(payload["content"])
        self.tell("COMMUNICATION_CREATED", message)
        id = identifier("conv_action", len(self.sent))
        return 202, {"id": id, "type": "SEND_MESSAGE", "status": "PENDING", "conversationId": conversation}

    # --- messages ------------------------------------------------------------------------------------------------

    async def simulate(self, customer: Any, event: Any) -> None:
        """The customer sends `text` to the agent. The reply must have `contains`; with `unanswered`, none may come.

        Raises Problem otherwise.
        """
        if not isinstance(event, dict) or not {"text"} <= event.keys() <= {"text", "contains", "unanswered"}:
            raise ValueError("conversations can have a text, and what the answer contains, or that it is unanswered")
        self.subscriber = lambda body: customer.post_json(PATH, body)
        text, count = event["text"], len(self.sent)
        written = self.write(customer.caller, customer.called, "SMS", text)
        response = await self.subscriber(webhook("COMMUNICATION_CREATED", written))
        if response is not None and response.status_code == 404:
            raise ValueError(f"this project takes no texts: POST {PATH} answered 404")
        if event.get("unanswered"):
            await wait_until(lambda: not is_busy(customer.app), "the app is still busy")
            if len(self.sent) > count:
                raise Problem(f"{text!r} is not for the agent, and the agent answered it")
            return
        await wait_until(lambda: len(self.sent) > count, f"no answer to the text {text!r}")
        answer = self.sent[count]["content"]["text"]
        if str(event.get("contains", "")).lower() not in answer.lower():
            raise Problem(f"{event['contains']!r} is missing in {answer!r}")

    def write(
        self, author: str, agent: str, channel: str, text: str | None, thread: str = "", *, outbound: bool = False
    ) -> dict[str, Any]:
        """A customer writes to the agent, and begins a conversation if none is open. Returns the message.

        A message without text is a picture. With `outbound` the agent's number writes to the customer.
        """
        key = f"{channel} {author} {agent}"
        open_ones = [id for id, each in self.records.items() if each.get("key") == key and each["status"] != "CLOSED"]
        if open_ones:
            conversation = open_ones[0]
        else:
            configuration = getattr(settings(), "conversation_configuration_id", "")
            conversation = self.begin(configuration, channel, f"{key} {len(self.records)}", author, agent)
            self.records[conversation]["key"] = key
            if outbound:
                self.people[conversation][1]["type"] = "HUMAN_AGENT"  # Twilio's type for a number of the account
            else:
                del self.people[conversation][1:]  # the agent has not joined yet
            self.people[conversation][0]["type"] = self.roles.get(author, "CUSTOMER")
        return self._message(conversation, self.people[conversation][1 if outbound else 0], channel, text, thread)

    def join_human(self, conversation: str, text: str) -> dict[str, Any]:
        """A human agent writes. Returns the message."""
        person = self.join(conversation, "HUMAN_AGENT", "CHAT", sid("human"))
        return self._message(conversation, person, "SMS", text)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Send a webhook in the background."""
        if self.subscriber:
            self.deliveries.start(self._deliver(self.subscriber, webhook(kind, data)))

    async def _deliver(self, subscriber: Callable[[dict[str, Any]], Awaitable[Any]], body: dict[str, Any]) -> None:
        await subscriber(body)

    def _message(
        self, conversation: str, author: dict[str, Any], channel: str, text: str | None, thread: str = ""
    ) -> dict[str, Any]:
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        message = {
            "id": identifier("conv_communication", len(self.messages) + 1),
            "conversationId": conversation,
            "accountId": ACCOUNT_SID,
            "author": {
                "address": author["addresses"][0]["address"],
                "channel": channel,
                "participantId": author["id"],
            },
            "content": {"type": "TEXT", "text": text or ""},
            "channelId": thread or sid("SM"),
            "recipients": [],
            "createdAt": now,
            "updatedAt": now,
        }
        self.messages.append(message)
        return message


def text_of(content: dict[str, Any]) -> str:
    """The text of a message. A template of the simulated account is nothing but its variables, in order."""
    if "contentId" not in content:
        return str(content["text"])
    if not re.fullmatch(r"HX[0-9a-fA-F]{32}", content["contentId"]):
        raise BadRequest("contentId is the SID of a template")
    return " ".join(str(value) for _, value in sorted((content.get("variables") or {}).items()))


def bare(address: str) -> str:
    """A phone number without the name of its channel."""
    return address.rpartition(":")[2]


def webhook(kind: str, data: dict[str, Any]) -> dict[str, Any]:
    """The body of a webhook."""
    return {"eventType": kind, "timestamp": timestamp(), "data": data}
