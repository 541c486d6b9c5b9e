"""Conversation Orchestrator (Conversations v2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from fastapi import FastAPI

from kit.defaults import ACCOUNT_SID, Problem, settings
from kit.simulated_twilio.memory import Memory
from kit.simulated_twilio.product import Answer, NotFound, Product, Request, identifier, route

PATH = "/webhooks/conversations"
PATIENCE = 30.0  # seconds without an answer after which nobody waits any more
LONGEST_TEXT = 1600  # characters
VISIBLE_AFTER = 2.0  # seconds; 1 to 4 were measured


@dataclass
class Conversations(Product):
    """`known` maps ids to conversations; one that began just now is not listed yet. `memory` knows the customers."""

    host = "conversations.twilio.com"
    memory: Memory | None = None
    known: dict[str, dict[str, Any]] = field(default_factory=dict)
    people: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)  # everything written, in order
    sent: list[dict[str, Any]] = field(default_factory=list)  # those of them that went out by an Action
    refusals: list[int] = field(default_factory=list)  # how the next Actions are answered instead of 202
    roles: dict[str, str] = field(default_factory=dict)  # of whoever is captured; CUSTOMER unless an address is here
    subscriber: Callable[[dict[str, Any]], Awaitable[Any]] | None = None  # takes the webhooks
    deliveries: set[asyncio.Task[None]] = field(default_factory=set)

    def begin(self, configuration: str, channel: str, channel_id: str, customer: str, agent: str) -> str:
        """A conversation begins. Returns its id."""
        known = [each["id"] for each in self.known.values() if each["channelId"] == channel_id]
        if known:
            return str(known[0])
        number = len(self.known) + 1
        conversation = identifier("conv_conversation", number)
        self.known[conversation] = {
            "id": conversation,
            "accountId": ACCOUNT_SID,
            "configurationId": configuration,
            "status": "ACTIVE",
            "channelId": channel_id,
            "visibleAt": asyncio.get_running_loop().time() + VISIBLE_AFTER / self.pace,
        }
        self.people[conversation] = [
            {
                "id": identifier("conv_participant", 10 * number + index),
                "conversationId": conversation,
                "accountId": ACCOUNT_SID,
                "name": kind.lower(),
                "type": kind,
                "profileId": self.memory.resolve(bare(address)) if self.memory and kind == "CUSTOMER" else None,
                "addresses": [{"channel": channel, "address": address, "channelId": channel_id}],
            }
            for index, (kind, address) in enumerate([("CUSTOMER", customer), ("AI_AGENT", agent)])
        ]
        return conversation

    def of(self, channel_id: str) -> dict[str, Any]:
        """The conversation that went over this call, or began with this message."""
        return next(each for each in self.known.values() if each["channelId"] == channel_id)

    @route("GET", "/v2/Conversations")
    async def list(self, request: Request) -> Answer:
        """Lists hold partial objects."""
        now = asyncio.get_running_loop().time()
        found = [
            {name: each[name] for name in ("id", "accountId", "status")}
            for each in self.known.values()
            if now >= each["visibleAt"]
            and each["channelId"] == request.query.get("channelId", each["channelId"])
            and each["status"] == request.query.get("status", each["status"])
        ]
        return 200, {"conversations": found, "meta": {"key": "conversations", "pageSize": 50}}

    @route("GET", "/v2/Conversations/{conversation}")
    async def fetch(self, request: Request, conversation: str) -> Answer:
        return 200, self._get(conversation)

    @route("PATCH", "/v2/Conversations/{conversation}")
    @route("PUT", "/v2/Conversations/{conversation}")
    async def change(self, request: Request, conversation: str) -> Answer:
        known = self._get(conversation)
        closes = known["status"] != "CLOSED" and request.body.get("status") == "CLOSED"
        known.update(request.body)
        if closes:
            self.tell("CONVERSATION_UPDATED", {name: value for name, value in known.items() if name != "visibleAt"})
        if closes and self.memory:
            self.memory.extract(bare(self.people[conversation][0]["addresses"][0]["address"]))
        return 200, known

    @route("GET", "/v2/Conversations/{conversation}/Participants")
    async def participants(self, request: Request, conversation: str) -> Answer:
        self._get(conversation)
        return 200, {"participants": self.people[conversation], "meta": {"key": "participants", "pageSize": 50}}

    @route("POST", "/v2/Conversations/{conversation}/Participants")
    async def join(self, request: Request, conversation: str) -> Answer:
        """409 for an address that somebody has already."""
        self._get(conversation)
        wanted = [(each["channel"], each["address"]) for each in request.body["addresses"]]
        taken = [(each["channel"], each["address"]) for one in self.people[conversation] for each in one["addresses"]]
        if set(wanted) & set(taken):
            return 409, {"code": 20409, "message": "the address is taken", "status": 409}
        return 201, self._person(conversation, request.body["type"], *wanted[0])

    @route("PUT", "/v2/Conversations/{conversation}/Participants/{id}")
    async def retype(self, request: Request, conversation: str, id: str) -> Answer:
        """Replaces all of a participant; a customer gets a profile."""
        person = next((each for each in self.people[self._get(conversation)["id"]] if each["id"] == id), None)
        if person is None:
            raise NotFound(f"{id} was not found")
        person |= {name: request.body.get(name) for name in ("name", "type", "profileId", "addresses")}
        if person["type"] == "CUSTOMER" and self.memory:
            person["profileId"] = person["profileId"] or self.memory.resolve(bare(person["addresses"][0]["address"]))
        return 200, person

    @route("POST", "/v2/Conversations/{conversation}/Actions")
    async def act(self, request: Request, conversation: str) -> Answer:
        """A message goes out, and comes back as a webhook like every other."""
        known, people = self._get(conversation), {each["id"]: each for each in self.people[conversation]}
        if self.refusals:
            status = self.refusals.pop(0)
            return status, {"code": 20500, "message": "injected", "status": status}
        payload = request.body["payload"]
        sender, recipients = payload["from"], payload["to"]
        text, refused = payload["content"]["text"], ""
        if request.body["type"] != "SEND_MESSAGE" or known["status"] == "CLOSED":
            refused = "only messages, and only while the conversation is open"
        elif not {each["participantId"] for each in [sender, *recipients]} <= people.keys():
            refused = "who is that?"
        elif not 1 <= len(text) <= LONGEST_TEXT:
            refused = f"1 to {LONGEST_TEXT} characters"
        elif sender["channel"] == "CHAT" and not (payload.get("channelSettings") or {}).get("channelId"):
            refused = "which chat?"
        if refused:
            return 400, {"code": 20001, "message": refused, "status": 400}
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
        self.tell("COMMUNICATION_CREATED", message)
        id = identifier("conv_action", len(self.sent))
        return 202, {"id": id, "type": "SEND_MESSAGE", "status": "PENDING", "conversationId": conversation}

    # --- messages ------------------------------------------------------------------------------------------------

    async def happens(self, somebody: Any, event: Any) -> None:
        """Whoever called writes `text` to the same number, and the answer has `contains`, in the call or after it;
        or there is none, if `unanswered`.

        Raises Problem for an answer that has not, or does not come, or comes.
        """
        if not isinstance(event, dict) or not {"text"} <= event.keys() <= {"text", "contains", "unanswered"}:
            raise ValueError("conversations can have a text, and what the answer contains, or that it is unanswered")
        self.subscriber = lambda body: somebody.post_json(PATH, body)
        written, count = self.write(somebody.caller, somebody.called, "SMS", event["text"]), len(self.sent)
        await self.subscriber(webhook("COMMUNICATION_CREATED", written))
        if event.get("unanswered"):
            await idle(somebody.app)
            if len(self.sent) > count:
                raise Problem(f"{event['text']!r} is for a human, and the agent answered it")
            return
        try:
            async with asyncio.timeout(PATIENCE):
                while len(self.sent) == count:
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise Problem(f"nobody answered the text {event['text']!r}") from None
        answer = self.sent[count]["content"]["text"]
        if str(event.get("contains", "")).lower() not in answer.lower():
            raise Problem(f"{event['contains']!r} is missing in {answer!r}")

    def write(self, author: str, agent: str, channel: str, text: str | None, thread: str = "") -> dict[str, Any]:
        """Somebody writes to the agent. Returns the message; the conversation begins with it, if it has to.

        A message without text is a picture.
        """
        key = f"{channel} {author} {agent}"
        open_ones = [id for id, each in self.known.items() if each.get("key") == key and each["status"] != "CLOSED"]
        if open_ones:
            conversation = open_ones[0]
        else:
            configuration = getattr(settings(), "conversation_configuration_id", "")
            conversation = self.begin(configuration, channel, f"{key} {len(self.known)}", author, agent)
            self.known[conversation]["key"] = key
            self.people[conversation] = self.people[conversation][:1]  # nobody has told Twilio who we are
            self.people[conversation][0]["type"] = self.roles.get(author, "CUSTOMER")
        return self._message(conversation, self.people[conversation][0], channel, text, thread)

    def join_human(self, conversation: str, text: str) -> dict[str, Any]:
        """A human agent writes. Returns the message."""
        person = self._person(conversation, "HUMAN_AGENT", "CHAT", f"human{uuid4().hex[:6]}")
        return self._message(conversation, person, "SMS", text)

    def tell(self, kind: str, about: dict[str, Any]) -> None:
        """Send a webhook to whoever is subscribed, in the background."""
        if self.subscriber is None:
            return
        task: asyncio.Task[None] = asyncio.ensure_future(self._deliver(self.subscriber, webhook(kind, about)))
        self.deliveries.add(task)
        task.add_done_callback(self.deliveries.discard)

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
            "channelId": thread or "SM" + uuid4().hex,
            "recipients": [],
            "createdAt": now,
            "updatedAt": now,
        }
        self.messages.append(message)
        return message

    def _person(self, conversation: str, kind: str, channel: str, address: str) -> dict[str, Any]:
        people = self.people[conversation]
        person = {
            "id": identifier("conv_participant", 10**6 + sum(map(len, self.people.values()))),
            "conversationId": conversation,
            "accountId": ACCOUNT_SID,
            "name": kind.lower(),
            "type": kind,
            "profileId": None,
            "addresses": [{"channel": channel, "address": address}],
        }
        people.append(person)
        return person

    def _get(self, conversation: str) -> dict[str, Any]:
        if conversation not in self.known:
            raise NotFound(f"{conversation} was not found")
        return self.known[conversation]


async def idle(app: FastAPI) -> None:
    """Wait until the app has nothing to do in the background. Raises TimeoutError."""
    async with asyncio.timeout(PATIENCE):
        while busy(app):
            await asyncio.sleep(0.002)


def busy(app: FastAPI) -> bool:
    conversations = app.state.conversations
    return any(getattr(each, "working", None) for each in [*conversations.channels, *conversations.capabilities])


def bare(address: str) -> str:
    """A phone number without the name of its channel."""
    return address.rpartition(":")[2]


def webhook(kind: str, about: dict[str, Any]) -> dict[str, Any]:
    """What Twilio posts."""
    return {"eventType": kind, "timestamp": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", "data": about}
