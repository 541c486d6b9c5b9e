"""Somebody who texts: signed webhooks go to the real app, and the answers are those that reach Twilio's Actions."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import httpx2
from fastapi import FastAPI
from prompt_toolkit import PromptSession
from prompt_toolkit.patch_stdout import patch_stdout
from twilio.request_validator import RequestValidator

from app.config import FIRST_LANGUAGE
from app.main import create_app
from app.session import Session
from app.session_store import load_session
from kit import defaults
from kit.activity import is_busy, wait_until
from kit.local_server import serve
from kit.network_guard import offline
from kit.simulated_twilio.account import SimulatedAccount
from kit.simulated_twilio.conversations import PATH, webhook
from kit.terminal import Terminal, piped

PATIENCE = 30.0  # seconds without an answer
THREAD = "CH" + "0" * 32  # of a chat

HELP = """\
/photo         send a picture without a word
/human Hello   a human agent writes, and accepts the conversation first if it waits for one
/nobody        a human was asked for, and none comes
/done          a human was asked for, came and has finished
/close         Twilio closes the conversation after a time without messages
/quit          put the phone away, like Ctrl-D"""


EVENTS = {"/nobody": "nobody", "/done": "completed"}  # what becomes of a task


class Texter:
    """A customer in one channel. Every wait is bounded; silence raises Problem."""

    def __init__(self, app: FastAPI, address: str, account: SimulatedAccount, author: str, channel: str) -> None:
        self.app = app
        self.address = address
        self.account = account
        self.author = author
        self.channel = channel
        self.statuses: list[int] = []  # how the app answered the webhooks
        self._read = 0
        self._validator = RequestValidator(defaults.AUTH_TOKEN)
        self._http = httpx2.AsyncClient(base_url=f"http://{address}", timeout=PATIENCE, trust_env=False, verify=False)
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

    # --- what a customer does -------------------------------------------------------------------------------------

    async def texts(self, text: str | None) -> str:
        """Write something, or send a picture (None), and wait for the answer."""
        await self.posts(self.writes(text))
        return await self.reads()

    def writes(self, text: str | None) -> dict[str, Any]:
        """Write something. The webhook of it is on its way when somebody posts it."""
        thread = THREAD if self.channel == "CHAT" else ""
        message = self.account.conversations.write(self.author, self.called, self.channel, text, thread)
        return webhook("COMMUNICATION_CREATED", message)

    async def reads(self) -> str:
        """The next answer."""
        try:
            async with asyncio.timeout(PATIENCE):
                while len(self.account.conversations.sent) <= self._read:
                    if not self.messaging.working:
                        raise defaults.Problem("no answer: the app is done with the message")
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise defaults.Problem(f"no answer (waited {PATIENCE:.0f} s)") from None
        self._read += 1
        return str(self.account.conversations.sent[self._read - 1]["content"]["text"])

    def unread(self) -> list[str]:
        """The answers that nobody has read."""
        found = self.account.conversations.sent[self._read :]
        self._read += len(found)
        return [message["content"]["text"] for message in found]

    # --- what Twilio does ------------------------------------------------------------------------------------------

    @property
    def conversation(self) -> str:
        """The id of the latest conversation."""
        return list(self.account.conversations.known)[-1]

    @property
    def reference(self) -> str:
        """The id of the latest message."""
        return str(self.account.conversations.messages[-1]["id"])

    def sign(self, url: str) -> str:
        return str(self._validator.compute_signature(url, {}))

    async def posts(self, body: dict[str, Any], token: str | None = None, path: str = PATH) -> None:
        """A signed webhook. Twilio repeats one with the same token."""
        content = json.dumps(body).encode()
        target = f"{path}?bodySHA256={hashlib.sha256(content).hexdigest()}"
        headers = {
            "Content-Type": "application/json",
            "X-Twilio-Signature": self.sign(f"{defaults.PUBLIC_URL}{target}"),
            "i-twilio-idempotency-token": token or uuid4().hex,
        }
        answer = await self._http.post(target, content=content, headers=headers)
        self.statuses.append(answer.status_code)

    async def post_json(self, path: str, body: Any) -> None:
        await self.posts(body, path=path)

    async def post_form(self, path: str, form: dict[str, str]) -> httpx2.Response:
        """A signed webhook of TaskRouter."""
        signature = str(self._validator.compute_signature(f"{defaults.PUBLIC_URL}{path}", form))
        return await self._http.post(path, data=form, headers={"X-Twilio-Signature": signature})

    async def human(self, text: str) -> None:
        """A human agent writes into the conversation, and accepts it first if it waits in Flex."""
        if (task := self.account.flex.task) and task["assignment_status"] == "pending":
            await self.account.flex.becomes("accepted")
            await self.settles()
        message = self.account.conversations.join_human(self.conversation, text)
        await self.posts(webhook("COMMUNICATION_CREATED", message))

    async def closes(self) -> None:
        """Twilio closes the conversation."""
        known = self.account.conversations.known[self.conversation]
        known["status"] = "CLOSED"
        await self.posts(webhook("CONVERSATION_UPDATED", {"id": known["id"], "status": "CLOSED"}))

    async def settles(self) -> None:
        """Wait until the app has nothing to do."""
        deliveries = (self.account.conversations.deliveries, self.account.flex.deliveries)
        await wait_until(lambda: not any(deliveries) and not is_busy(self.app), "the app is still busy", PATIENCE)

    # --- what the app keeps ----------------------------------------------------------------------------------------

    async def session(self) -> Session:
        """The latest conversation as it is stored; an empty one before the first message and after the end."""
        known, now = self.account.conversations.known, self.messaging.now
        stored = await self._stored(f"session:{self.conversation}") if known else None
        empty = Session(self.conversation if known else "", self.author, "", FIRST_LANGUAGE, now=now)
        return load_session(self.conversation, stored, now) if isinstance(stored, dict) else empty

    async def state(self) -> Mapping[str, Any]:
        """Of the conversation, or what signals have left of one that is over."""
        session = await self.session()
        after: Any = None if session.called else await self._stored(f"after:{self.conversation}")
        return after["state"] if after else session.state

    async def _stored(self, key: str) -> Any:
        text = await self.messaging.store.get(key)
        return json.loads(text) if text else None

    async def aclose(self) -> None:
        self.account.conversations.subscriber = self.account.flex.subscriber = None
        await self._http.aclose()


@asynccontextmanager
async def texter(
    app: FastAPI, account: SimulatedAccount, *, author: str = defaults.CALLER, channel: str = "SMS"
) -> AsyncGenerator[Texter]:
    """Serve `app` to somebody who texts it. `account` is the account whose transport the app has."""
    async with serve(app) as address, texter_on(app, address, account, author=author, channel=channel) as somebody:
        yield somebody


@asynccontextmanager
async def texter_on(
    app: FastAPI, address: str, account: SimulatedAccount, *, author: str = defaults.CALLER, channel: str = "SMS"
) -> AsyncGenerator[Texter]:
    """Somebody who texts an app that is being served already."""
    somebody = Texter(app, address, account, author, channel)
    try:
        yield somebody
        await somebody.settles()
    finally:
        await somebody.aclose()


# --- in the terminal -------------------------------------------------------------------------------------------------


async def talk(models: Sequence[Any], name: str, *, local: bool) -> int:
    """A conversation with whoever types. Returns the exit code: 1 when the agent did not answer."""
    terminal, refused = Terminal(), list[str]()
    terminal.note(f"Answering: {name}. The customer, the carrier and Twilio are simulated; the app is yours.")
    terminal.note("Type what the customer texts; /help shows what else can happen.")
    try:
        async with AsyncExitStack() as stack:
            refused = stack.enter_context(offline()) if local else []
            account = SimulatedAccount()
            app = create_app(defaults.settings(), models, transport=account.transport)
            somebody = await stack.enter_async_context(texter(app, account))
            async with typed() if sys.stdin.isatty() else piped() as lines:
                async for text in lines:
                    if text == "/quit":
                        break
                    await obey(somebody, terminal, text)
            counts = somebody.messaging.counts
            terminal.note(f"{counts['received']} received, {counts['answered']} answered, {counts['failed']} failed.")
    except defaults.Problem as problem:
        terminal.problem(str(problem))
        return 1
    if refused:
        terminal.problem(f"the app tried to reach {', '.join(sorted(set(refused)))}")
    return 1 if refused or counts["failed"] else 0


async def obey(somebody: Texter, terminal: Terminal, text: str) -> None:
    command, _, words = text.partition(" ")
    begun = bool(somebody.account.conversations.known)
    if not text:
        return
    if command == "/human" and words and begun:
        if (task := somebody.account.flex.task) and task["assignment_status"] == "pending":
            terminal.note("TaskRouter: accepted.")
        terminal.line("human", words, style="magenta")
        await somebody.human(words)
    elif command in EVENTS and somebody.account.flex.task:
        await somebody.account.flex.becomes(EVENTS[command])
        terminal.note(f"TaskRouter: {EVENTS[command]}.")
        if command == "/done":
            await somebody.settles()
            return
    elif command == "/close" and begun:
        await somebody.closes()
        await somebody.settles()
        terminal.note("Twilio has closed the conversation. The next message begins another.")
        return
    elif command.startswith("/") and command != "/photo":
        for hint in HELP.splitlines():
            terminal.note(hint)
        return
    else:
        terminal.line("customer", "[a picture]" if command == "/photo" else text, style="cyan")
        await somebody.posts(somebody.writes(None if command == "/photo" else text))
    await answers(somebody, terminal)


async def answers(somebody: Texter, terminal: Terminal) -> None:
    """Show what the agent has to say to it, and whether it hands over."""
    began, tasks = time.monotonic(), len(somebody.account.flex.interactions)
    await somebody.settles()
    took = f"{1000 * (time.monotonic() - began):.0f} ms"
    for text in (unread := somebody.unread()):
        terminal.agent(text, took)
    for made in list(somebody.account.flex.interactions.values())[tasks:]:
        task = json.loads(made["routing"]["properties"]["attributes"])
        terminal.note(f"-> Flex ({task['channel']}): {task['reason_code']}. /human Hello accepts, /nobody does not.")
    if not unread:
        terminal.note("The agent does not answer.")


@asynccontextmanager
async def typed() -> AsyncGenerator[AsyncIterator[str]]:
    """The lines that somebody types."""

    async def lines() -> AsyncIterator[str]:
        session: PromptSession[str] = PromptSession(erase_when_done=True)
        with suppress(EOFError, KeyboardInterrupt):
            while True:
                yield (await session.prompt_async("customer  ")).strip()

    with patch_stdout(raw=True):
        yield lines()
