"""A customer who texts: messages are signed webhooks to the app, replies are requests of the app to Twilio."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from fastapi import FastAPI

from app.config import FIRST_LANGUAGE
from app.session import Session, load_session
from kit import defaults
from kit.activity import is_busy, wait_until
from kit.local_server import serve
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.conversations import PATH, webhook
from kit.webhook import WebhookSender

REPLY_TIMEOUT = 30.0  # seconds
THREAD = "CH" + "0" * 32  # the channel id of a chat


class Texter(WebhookSender):
    """A customer in one channel. Every wait has a timeout; a message without a reply raises Problem."""

    def __init__(self, app: FastAPI, address: str, account: SimulatedAccount, author: str, channel: str) -> None:
        super().__init__(address)
        self.app = app
        self.account = account
        self.author = author
        self.channel = channel
        self.statuses: list[int] = []  # of the responses to webhooks
        self._read = 0
        account.conversations.subscriber = self.posts
        account.flex.subscriber = self.post_form

    @property
    def messaging(self) -> Any:
        return self.app.state.conversations.channel("messaging")

    @property
    def caller(self) -> str:
        return self.author

    @property
    def called(self) -> str:
        return str(self.messaging.options.addresses[self.channel])

    # --- the customer -------------------------------------------------------------------------------------

    async def texts(self, text: str | None) -> str:
        """Write `text`, or send a picture (None), and wait for the reply."""
        await self.posts(self.writes(text))
        return await self.reads()

    def writes(self, text: str | None) -> dict[str, Any]:
        """Write `text`. Returns the body of its webhook, for `posts`."""
        thread = THREAD if self.channel == "CHAT" else ""
        message = self.account.conversations.write(self.author, self.called, self.channel, text, thread)
        return webhook("COMMUNICATION_CREATED", message)

    async def is_written_to(self, text: str) -> None:
        """The agent's number writes first, by another program: a reminder, say."""
        message = self.account.conversations.write(self.author, self.called, self.channel, text, outbound=True)
        await self.posts(webhook("COMMUNICATION_CREATED", message))
        await self.wait_for_app()

    async def reads(self, whole: bool = False) -> str:
        """Wait for the next reply and return it: `whole`, or without the agent's introduction."""
        try:
            async with asyncio.timeout(REPLY_TIMEOUT):
                while len(self.account.conversations.sent) <= self._read:
                    if not self.messaging.working:
                        raise defaults.Problem("no answer: the app has finished with the message")
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise defaults.Problem(f"no answer (waited {REPLY_TIMEOUT:.0f} s)") from None
        self._read += 1
        text = str(self.account.conversations.sent[self._read - 1]["content"]["text"])
        return text if whole else self.split(text)[1]

    def unread(self, whole: bool = False) -> list[str]:
        """The replies that `reads` has not returned."""
        found = self.account.conversations.sent[self._read :]
        self._read += len(found)
        texts = [message["content"]["text"] for message in found]
        return texts if whole else [self.split(text)[1] for text in texts]

    def split(self, text: str) -> tuple[str, str]:
        """The introduction with which the agent's first message begins, or "", and the rest of the message."""
        introduction = str(self.messaging.outbox.introduction)
        if not text.startswith(f"{introduction}\n"):
            return "", text
        return introduction, text.removeprefix(f"{introduction}\n")

    # --- Twilio ------------------------------------------------------------------------------------------

    @property
    def conversation(self) -> str:
        """The id of the latest conversation."""
        return list(self.account.conversations.records)[-1]

    @property
    def reference(self) -> str:
        """The id of the latest message."""
        return str(self.account.conversations.messages[-1]["id"])

    async def posts(self, body: dict[str, Any], token: str | None = None) -> None:
        """Send a webhook of Conversation Orchestrator."""
        answer = await self.post_json(PATH, body, token or uuid4().hex)
        self.statuses.append(answer.status_code)

    async def human(self, text: str) -> None:
        """A human agent writes into the conversation, and accepts it first if it waits in Flex."""
        if (task := self.account.flex.task) and task["assignment_status"] == "pending":
            await self.account.flex.update_task("accepted")
            await self.wait_for_app()
        message = self.account.conversations.join_human(self.conversation, text)
        await self.posts(webhook("COMMUNICATION_CREATED", message))

    async def closes(self) -> None:
        """Twilio closes the conversation."""
        known = self.account.conversations.records[self.conversation]
        known["status"] = "CLOSED"
        await self.posts(webhook("CONVERSATION_UPDATED", {"id": known["id"], "status": "CLOSED"}))

    async def wait_for_app(self) -> None:
        """Wait until the app is idle."""
        deliveries = (self.account.conversations.deliveries, self.account.flex.deliveries)
        await wait_until(lambda: not any(deliveries) and not is_busy(self.app), "the app is still busy", REPLY_TIMEOUT)

    # --- the store of the app ----------------------------------------------------------------------------------------

    async def session(self) -> Session:
        """The stored session of the latest conversation; an empty one before the first message and after the end."""
        known, now = self.account.conversations.records, self.messaging.now
        stored = await self._stored(f"session:{self.conversation}") if known else None
        empty = Session(self.conversation if known else "", self.author, "", FIRST_LANGUAGE, now=now)
        return load_session(self.conversation, stored, now) if isinstance(stored, dict) else empty

    async def state(self) -> Mapping[str, Any]:
        """The state of the conversation, also after its end if signals arrived then."""
        session = await self.session()
        after: Any = None if session.called else await self._stored(f"after:{self.conversation}")
        return after["state"] if after else session.state

    async def _stored(self, key: str) -> Any:
        text = await self.messaging.store.get(key)
        return json.loads(text) if text else None

    async def aclose(self) -> None:
        self.account.conversations.subscriber = self.account.flex.subscriber = None
        await super().aclose()


@asynccontextmanager
async def texter(
    app: FastAPI, account: SimulatedAccount, *, author: str = defaults.CALLER, channel: str = "SMS"
) -> AsyncGenerator[Texter]:
    """Serve `app` to a customer. `account` is the account whose transport the app has."""
    async with serve(app) as address, texter_on(app, address, account, author=author, channel=channel) as customer:
        yield customer


@asynccontextmanager
async def texter_on(
    app: FastAPI, address: str, account: SimulatedAccount, *, author: str = defaults.CALLER, channel: str = "SMS"
) -> AsyncGenerator[Texter]:
    """A customer of an app that is served already."""
    customer = Texter(app, address, account, author, channel)
    try:
        yield customer
        await customer.wait_for_app()
    finally:
        await customer.aclose()
